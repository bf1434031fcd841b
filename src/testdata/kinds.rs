//! The kinds of things in the imaginary company.

use crate::testdata::{
    actors::work::{AUTOMATION, CODE, DELIVERY, INFRASTRUCTURE, PEOPLE, WORKLOADS},
    words::TEAMS,
};

/// The values of a property.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shape {
    /// One of these.
    Choice(&'static [&'static str]),
    /// Some of these.
    List(&'static [&'static str]),
    /// A whole number in this range.
    Number(i64, i64),
    /// A number with two decimals below this one.
    Decimal(i64),
    Flag,
    /// A version that increases.
    Version,
    /// Sentences in which one word changes.
    Text,
    /// A link with this beginning that ends with the thing's name.
    Link(&'static str),
    /// A nested object: processors, memory, replicas.
    Resources,
    /// A nested object: variables of an environment.
    Variables,
    /// A nested object: rules with levels.
    Rules,
}

/// How events about a kind are generated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// A change of the catalog, with before and after.
    Change,
    /// A request to the deployment platform, with method, path and status code.
    Request,
    /// A run of an action, from start to end.
    Run,
    /// Mostly deliveries to a webhook.
    Delivery,
    /// Mostly synchronisations of an integration.
    Sync,
}

/// How many things of a kind there are.
#[derive(Debug, Clone, Copy)]
pub(super) enum Size {
    /// This many.
    Fixed(usize),
    /// This share of all things, in thousandths.
    Share(usize),
}

/// A kind of thing.
#[derive(Debug)]
pub(super) struct ResourceKind {
    pub(super) resource_type: &'static str,
    /// The kind in the catalog; for entities, their blueprint.
    pub(super) blueprint: &'static str,
    pub(super) style: Style,
    /// How often events are about it, among the actors who work on it.
    pub(super) weight: usize,
    /// Which actors work on it: bits of [`crate::testdata::actors::work`].
    pub(super) work: u8,
    pub(super) size: Size,
    /// The role part of its things' names, after their domain.
    pub(super) roles: &'static [&'static str],
    pub(super) properties: &'static [(&'static str, Shape)],
}

/// The longest list of properties.
pub(super) const PROPERTIES_MAX: usize = 11;

const LANGUAGES: &[&str] = &["Go", "Rust", "TypeScript", "Kotlin", "Python", "Java"];
const LIFECYCLES: &[&str] = &["experimental", "production", "deprecated", "maintenance"];
const TIERS: &[&str] = &["tier-1", "tier-2", "tier-3", "internal"];
const REGIONS: &[&str] = &["eu-west-1", "eu-central-1", "us-east-1", "ap-southeast-2"];
const HEALTH: &[&str] = &["Healthy", "Progressing", "Degraded", "Suspended"];
const LABELS: &[&str] = &["pci", "gdpr", "public", "batch", "realtime", "legacy", "gpu", "canary", "critical-path"];
const ENVIRONMENTS: &[&str] = &["production", "staging", "preview", "development"];
const SCOPES: &[&str] =
    &["entities:read", "entities:write", "runs:execute", "blueprints:read", "secrets:rotate", "members:read"];
const EVENTS: &[&str] = &["push", "pull_request", "deployment", "release", "alert", "issue_comment", "workflow_run"];
const INSTANCES: &[&str] = &["small-2x", "medium-4x", "large-8x", "memory-16x"];

use Shape::{Choice, Decimal, Flag, Link, List, Number, Resources, Rules, Text, Variables, Version};

const SERVICE: &[(&str, Shape)] = &[
    ("language", Choice(LANGUAGES)),
    ("lifecycle", Choice(LIFECYCLES)),
    ("tier", Choice(TIERS)),
    ("description", Text),
    ("repository", Link("https://git.example.com/portal/")),
    ("version", Version),
    ("onCallRotationDays", Number(1, 14)),
    ("coveragePercent", Decimal(100)),
    ("labels", List(LABELS)),
    ("resources", Resources),
];
const WORKLOAD: &[(&str, Shape)] = &[
    ("image", Link("registry.example.com/portal/")),
    ("imageTag", Version),
    ("health", Choice(HEALTH)),
    ("readyReplicas", Number(0, 24)),
    ("resources", Resources),
    ("environment", Choice(ENVIRONMENTS)),
    ("restartsLastHour", Number(0, 9)),
    ("autoscaling", Flag),
    ("labels", List(LABELS)),
];
const REPOSITORY: &[(&str, Shape)] = &[
    ("url", Link("https://git.example.com/portal/")),
    ("readme", Text),
    ("defaultBranchProtected", Flag),
    ("openIssues", Number(0, 140)),
    ("language", Choice(LANGUAGES)),
    ("topics", List(LABELS)),
    ("coveragePercent", Decimal(100)),
    ("latestRelease", Version),
];
const PULL_REQUEST: &[(&str, Shape)] = &[
    ("status", Choice(&["open", "review requested", "approved", "merged", "closed"])),
    ("description", Text),
    ("link", Link("https://git.example.com/portal/pulls/")),
    ("changedFiles", Number(1, 60)),
    ("additions", Number(1, 900)),
    ("deletions", Number(0, 600)),
    ("reviewers", List(&TEAMS)),
    ("checksPassed", Flag),
];
const CLOUD_RESOURCE: &[(&str, Shape)] = &[
    ("region", Choice(REGIONS)),
    ("instanceType", Choice(INSTANCES)),
    ("monthlyCost", Decimal(4_000)),
    ("encrypted", Flag),
    ("deletionProtection", Flag),
    ("storageGiB", Number(20, 2_000)),
    ("engineVersion", Version),
    ("labels", List(LABELS)),
    ("purpose", Text),
];
const FEATURE_FLAG: &[(&str, Shape)] = &[
    ("enabled", Flag),
    ("rolloutPercent", Number(0, 100)),
    ("environment", Choice(ENVIRONMENTS)),
    ("description", Text),
    ("audiences", List(&["employees", "beta", "eu", "us", "enterprise", "mobile"])),
    ("rules", Rules),
];
const INCIDENT: &[(&str, Shape)] = &[
    ("severity", Choice(&["sev-1", "sev-2", "sev-3", "sev-4"])),
    ("status", Choice(&["triggered", "acknowledged", "mitigated", "resolved"])),
    ("summary", Text),
    ("affectedRegions", List(REGIONS)),
    ("minutesToAcknowledge", Number(1, 45)),
    ("postmortem", Link("https://docs.example.com/incidents/")),
];
const BLUEPRINT: &[(&str, Shape)] = &[
    ("schemaVersion", Version),
    ("description", Text),
    ("required", List(&["language", "lifecycle", "tier", "url", "owner", "environment", "onCall"])),
    ("allowedEnvironments", List(ENVIRONMENTS)),
    ("calculationProperties", Rules),
    ("ownershipInherited", Flag),
];
const SCORECARD: &[(&str, Shape)] = &[
    ("description", Text),
    ("rules", Rules),
    ("levels", List(&["Basic", "Bronze", "Silver", "Gold"])),
    ("passingShare", Decimal(1)),
    ("evaluatedDaily", Flag),
];
const ACTION: &[(&str, Shape)] = &[
    ("trigger", Choice(&["self-service", "automation"])),
    ("description", Text),
    ("workflow", Link("https://git.example.com/portal/workflows/")),
    ("requiredApproval", Flag),
    ("approverTeams", List(&TEAMS)),
    ("userInputs", Variables),
    ("timeoutMinutes", Number(5, 90)),
];
const WEBHOOK: &[(&str, Shape)] = &[
    ("enabled", Flag),
    ("url", Link("https://hooks.example.org/ingest/")),
    ("events", List(EVENTS)),
    ("signatureAlgorithm", Choice(&["sha256", "sha512"])),
    ("mappings", Rules),
    ("retriesMax", Number(1, 8)),
];
const INTEGRATION: &[(&str, Shape)] = &[
    ("version", Version),
    ("resyncIntervalMinutes", Number(5, 180)),
    ("config", Variables),
    ("resources", List(EVENTS)),
    ("deleteDependentEntities", Flag),
    ("notes", Text),
];
const SECRET: &[(&str, Shape)] = &[
    ("description", Text),
    ("valueVersion", Number(1, 90)),
    ("readers", List(&TEAMS)),
    ("rotationDays", Number(7, 180)),
    ("environment", Choice(ENVIRONMENTS)),
];
const TEAM: &[(&str, Shape)] = &[
    ("description", Text),
    ("members", Number(2, 14)),
    ("permissions", List(SCOPES)),
    ("onCallChannel", Link("https://chat.example.com/rooms/")),
];
const PAGE: &[(&str, Shape)] = &[
    ("description", Text),
    ("locked", Flag),
    ("widgets", Rules),
    ("visibleTo", List(&TEAMS)),
    ("refreshSeconds", Number(10, 600)),
];
const APPLICATION: &[(&str, Shape)] = &[
    ("image", Link("registry.example.com/portal/")),
    ("imageTag", Version),
    ("resources", Resources),
    ("environment", Choice(ENVIRONMENTS)),
    ("port", Number(3_000, 9_999)),
    ("variables", Variables),
    ("domains", List(&["www.example.com", "api.example.com", "app.example.org", "internal.example.com"])),
];
const DATASTORE: &[(&str, Shape)] = &[
    ("engine", Choice(&["postgres", "redis", "mysql", "clickhouse"])),
    ("engineVersion", Version),
    ("instanceType", Choice(INSTANCES)),
    ("storageGiB", Number(20, 2_000)),
    ("highAvailability", Flag),
    ("backupRetentionDays", Number(1, 35)),
    ("parameters", Variables),
];
const ADDON: &[(&str, Shape)] =
    &[("chartVersion", Version), ("values", Variables), ("resources", Resources), ("autoUpgrade", Flag)];
const GROUP: &[(&str, Shape)] = &[
    ("version", Number(1, 400)),
    ("variables", Variables),
    ("linkedApplications", List(SERVICE_ROLES)),
    ("synced", Flag),
];
const CLUSTER: &[(&str, Shape)] = &[
    ("region", Choice(REGIONS)),
    ("kubernetesVersion", Version),
    ("nodeType", Choice(INSTANCES)),
    ("nodes", Number(2, 60)),
    ("resources", Resources),
    ("upgradeWindow", Choice(&["Sunday 02:00", "Saturday 04:00", "Wednesday 03:00"])),
];
const PROJECT: &[(&str, Shape)] = &[
    ("description", Text),
    ("memberRoles", Variables),
    ("ssoRequired", Flag),
    ("sessionHours", Number(1, 72)),
    ("allowedRegions", List(REGIONS)),
];

/// The index in [`KINDS`] of the entities that runs act on.
pub(super) const SERVICES: usize = 0;

const SERVICE_ROLES: &[&str] = &["api", "worker", "web", "gateway", "sync", "consumer", "scheduler", "bff"];
const DATA_ROLES: &[&str] = &["primary", "replica", "cache", "queue", "bucket", "warehouse"];
const THING_ROLES: &[&str] = &["default", "extended", "strict", "weekly", "shared"];

/// All kinds.
pub(super) const KINDS: [ResourceKind; 22] = [
    entity("service", 13, PEOPLE | CODE | DELIVERY, 230, SERVICE_ROLES, SERVICE),
    entity("workload", 14, PEOPLE | WORKLOADS, 220, SERVICE_ROLES, WORKLOAD),
    entity("repository", 8, CODE, 120, &["app", "library", "charts", "docs", "tools"], REPOSITORY),
    entity("pull_request", 14, CODE, 140, &["fix", "feature", "chore", "revert", "bump"], PULL_REQUEST),
    entity("cloud_resource", 10, PEOPLE | INFRASTRUCTURE, 110, DATA_ROLES, CLOUD_RESOURCE),
    entity("feature_flag", 6, PEOPLE, 50, &["new-flow", "dark-mode", "fallback", "limits", "pilot"], FEATURE_FLAG),
    entity("incident", 4, PEOPLE | AUTOMATION, 30, &["latency", "errors", "outage", "saturation"], INCIDENT),
    other("blueprint", 2, PEOPLE | INFRASTRUCTURE, THING_ROLES, BLUEPRINT),
    other("scorecard", 3, PEOPLE | AUTOMATION, &["readiness", "security", "ownership", "reliability"], SCORECARD),
    other("action", 3, PEOPLE, &["scaffold", "restart", "promote", "rollback", "rotate"], ACTION),
    ResourceKind {
        style: Style::Delivery,
        ..other("webhook", 4, CODE | AUTOMATION, &["hook", "ingest", "alerts"], WEBHOOK)
    },
    ResourceKind { style: Style::Sync, ..other("integration", 3, CODE | INFRASTRUCTURE, THING_ROLES, INTEGRATION) },
    other("secret", 2, PEOPLE | AUTOMATION, &["password", "api-key", "signing-key", "certificate"], SECRET),
    other("team", 1, PEOPLE, &["squad", "guild", "rotation"], TEAM),
    other("page", 2, PEOPLE, &["dashboard", "runbook", "overview"], PAGE),
    ResourceKind { style: Style::Run, ..other("run", 12, PEOPLE | DELIVERY | AUTOMATION, &["run"], &[]) },
    platform("application", 46, PEOPLE | DELIVERY | WORKLOADS, Size::Share(80), SERVICE_ROLES, APPLICATION),
    platform("datastore", 9, PEOPLE | INFRASTRUCTURE, Size::Share(10), DATA_ROLES, DATASTORE),
    platform("addon", 3, PEOPLE | WORKLOADS, Size::Fixed(30), &["metrics", "logs", "tracing", "ingress"], ADDON),
    platform("environment_group", 11, PEOPLE | DELIVERY, Size::Share(10), ENVIRONMENTS, GROUP),
    platform("cluster", 6, PEOPLE | INFRASTRUCTURE, Size::Fixed(12), REGIONS, CLUSTER),
    platform("project", 6, PEOPLE | DELIVERY, Size::Fixed(8), &["project"], PROJECT),
];

type Properties = &'static [(&'static str, Shape)];
type Roles = &'static [&'static str];

const fn entity(
    blueprint: &'static str,
    weight: usize,
    work: u8,
    share: usize,
    roles: Roles,
    properties: Properties,
) -> ResourceKind {
    let size = Size::Share(share);
    ResourceKind { resource_type: "entity", blueprint, style: Style::Change, weight, work, size, roles, properties }
}

const fn other(name: &'static str, weight: usize, work: u8, roles: Roles, properties: Properties) -> ResourceKind {
    ResourceKind {
        resource_type: name,
        blueprint: name,
        style: Style::Change,
        weight,
        work,
        size: Size::Fixed(60),
        roles,
        properties,
    }
}

const fn platform(
    name: &'static str,
    weight: usize,
    work: u8,
    size: Size,
    roles: Roles,
    properties: Properties,
) -> ResourceKind {
    ResourceKind { resource_type: name, blueprint: name, style: Style::Request, weight, work, size, roles, properties }
}
