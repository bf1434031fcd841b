//! The words that texts are built from.

/// The company's domains: the first half of most names.
pub(super) const DOMAINS: [&str; 48] = [
    "checkout",
    "payments",
    "search",
    "catalog",
    "identity",
    "orders",
    "shipping",
    "pricing",
    "inventory",
    "notifications",
    "billing",
    "accounts",
    "reporting",
    "gateway",
    "media",
    "reviews",
    "ledger",
    "invoicing",
    "returns",
    "loyalty",
    "coupons",
    "recommendations",
    "profile",
    "sessions",
    "geocoding",
    "warehouse",
    "suppliers",
    "forecasting",
    "fraud",
    "risk",
    "consent",
    "messaging",
    "scheduling",
    "translations",
    "experiments",
    "telemetry",
    "archive",
    "exports",
    "partners",
    "subscriptions",
    "tax",
    "refunds",
    "surveys",
    "support",
    "onboarding",
    "routing",
    "backoffice",
    "storefront",
];

/// The company's teams.
pub(super) const TEAMS: [&str; 9] =
    ["platform", "payments", "storefront", "data", "security", "mobile", "fulfilment", "growth", "reliability"];

/// Beginnings of descriptions; the domain follows.
pub(super) const OPENINGS: [&str; 8] = [
    "Serves every request of the \"happy path\" of",
    "Keeps the records that other services ask of",
    "Runs in the background and tidies up after",
    "Naïve first version, to be replaced once there is time; belongs to",
    "Shared by several teams, so ask before changing anything about",
    "Moves data between regions (EU → US and back) for",
    "Everything that customers see of",
    "Generated from the template \"standard\\v2\" for",
];
/// Continuations; one of [`CHANGING`] follows.
pub(super) const POLICIES: [&str; 8] = [
    "Changes need the approval of somebody from",
    "Alerts go first to",
    "Budget and capacity are reviewed every quarter with",
    "The runbook is kept up to date by",
    "Out of hours, escalate within 15 minutes to",
    "Data is kept for ≤ 30 days unless agreed otherwise with",
    "Do not restart by hand:\nask for help from",
    "Ownership moved last spring, questions now go to",
];
/// The parts of a description that change.
pub(super) const CHANGING: [&str; 9] = [
    "the platform team",
    "the data team",
    "whoever is on call",
    "the security office",
    "the release manager",
    "the storefront guild",
    "site reliability",
    "the vendor's support",
    "the owning squad",
];
/// Names of variables. The index corresponds to the kinds of values in [`VALUES`].
pub(super) const VARIABLES: [&str; 8] = [
    "LOG_LEVEL",
    "HTTP_TIMEOUT_SECONDS",
    "FEATURE_SET",
    "DATABASE_URL",
    "CACHE_MODE",
    "WORKER_COUNT",
    "UPSTREAM_HOST",
    "SAMPLING",
];
/// Their values. Secrets appear as references.
pub(super) const VALUES: [[&str; 4]; 8] = [
    ["info", "debug", "warn", "error"],
    ["5", "10", "30", "60"],
    ["stable", "beta", "stable,beta", "all"],
    ["secret://database/v3", "secret://database/v4", "secret://database/v5", "secret://database/v6"],
    ["write-through", "read-only", "off", "lazy"],
    ["2", "4", "8", "16"],
    ["internal.example.com", "upstream.example.org", "edge.example.com", "edge-2.example.com"],
    ["0.01", "0.1", "0.5", "1.0"],
];
/// Names of rules.
pub(super) const RULES: [&str; 6] =
    ["has-owner", "has-runbook", "slo-defined", "no-critical-findings", "backups-tested", "alerts-routed"];
/// Levels of rules.
pub(super) const LEVELS: [&str; 4] = ["Bronze", "Silver", "Gold", "Disabled"];

/// Why a change of the catalog was rejected.
pub(super) const REFUSALS: [&str; 8] = [
    "Property \"replicas.max\" must not be greater than 40",
    "Relation \"environment\" points to an entity that does not exist",
    "The entity changed since it was read (expected version 41, found 42)",
    "Team \"data\" may not update entities of team \"payments\"",
    "Property \"lifecycle\" must be one of \"experimental\", \"production\", \"deprecated\", \"maintenance\"",
    "Mapping failed: .pull_request.head.ref is null",
    "Blueprint is locked while a migration runs",
    "Quota of 10000 updates per hour exceeded",
];
/// Why a run failed.
pub(super) const RUN_FAILURES: [&str; 5] = [
    "Workflow step \"terraform apply\" exited with code 1",
    "Timed out after 30 minutes waiting for approval",
    "Health check of the new version failed 3 times; rolled back",
    "Runner lost: no heartbeat for 120 s",
    "Input \"region\" is not allowed in this environment",
];
/// Why a request failed, with its status code: first the failures of reads, then those of writes.
pub(super) const REQUEST_FAILURES: [(u16, &str); 10] = [
    (403, "The role \"viewer\" does not allow this in project \"production\""),
    (404, "Not found, or not visible to you"),
    (401, "The token has expired"),
    (429, "Too many requests: at most 600 a minute"),
    (504, "The cluster's control plane did not answer within 30 s"),
    (500, "Internal error"),
    (403, "Deployments to production are frozen until Monday 08:00 UTC"),
    (409, "Another deployment of this application is in progress"),
    (422, "memoryMiB: must be a multiple of 128"),
    (400, "variables.HTTP_TIMEOUT_SECONDS: expected a number, found \"ten\""),
];
/// How many of [`REQUEST_FAILURES`] a read can have.
pub(super) const READ_FAILURES: usize = 6;
