//! A browser for tests of the pages: headless Chromium, driven over WebDriver.
//!
//! No step sleeps for a fixed time: each waits for a condition. Without a browser a test is skipped, or fails if
//! `AUDITBOX_REQUIRE_BROWSER` is set.

use std::{
    env,
    fmt::Debug,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use fantoccini::{Client, ClientBuilder, Locator, elements::Element, error::CmdError, wd::WebDriverCompatibleCommand};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use tokio::runtime::{self, Runtime};
use ureq::http;

use crate::{
    harness::{CLIENT_ID, CLIENT_SECRET, SOON, Server},
    skip::BROWSER,
};

/// One browser at a time, because each is a dozen processes.
static ONLY_ONE: Mutex<()> = Mutex::new(());

/// Keys as WebDriver names them (W3C WebDriver, section 17.4.2).
pub(super) const TAB: &str = "\u{e004}";
pub(super) const ENTER: &str = "\u{e007}";
pub(super) const ESCAPE: &str = "\u{e00c}";

/// A page of a server, open in a browser.
pub(super) struct Page {
    base: String,
    client: Client,
    runtime: Runtime,
    driver: Child,
    _profile: TempDir,
    _only: MutexGuard<'static, ()>,
}

/// The path of an installed program.
fn program(name: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).map(|directory| directory.join(name)).find(|path| path.is_file())
}

impl Page {
    /// A browser without an open page; `None` if no browser is installed.
    pub(super) fn of(server: &Server) -> Option<Self> {
        let programs = program("chromium").zip(program("chromedriver"));
        if !BROWSER.is_met(programs.is_some()) {
            return None;
        }
        let (chromium, chromedriver) = programs?;
        let only = ONLY_ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let profile = tempfile::tempdir().unwrap();
        let (driver, port) = start(&chromedriver);
        let profile_argument = format!("--user-data-dir={}", profile.path().display());
        let arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--hide-scrollbars",
            "--window-size=1280,900",
            &profile_argument,
        ];
        let options = json!({ "binary": chromium, "args": arguments });
        let capabilities = Map::from_iter([("goog:chromeOptions".to_owned(), options)]);
        let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let client = runtime.block_on(async {
            let mut builder = ClientBuilder::new(HttpConnector::new());
            builder.capabilities(capabilities).connect(&format!("http://127.0.0.1:{port}")).await.unwrap()
        });
        let base = server.url.clone();
        Some(Self { base, client, runtime, driver, _profile: profile, _only: only })
    }

    /// A browser that is signed in and shows `path`.
    pub(super) fn signed_in(server: &Server, path: &str) -> Option<Self> {
        let page = Self::of(server)?;
        page.open(path);
        page.sign_in(CLIENT_ID, CLIENT_SECRET);
        page.until_at(path);
        Some(page)
    }

    /// Lets the same browser use a restarted server, which may have another port.
    pub(super) fn follow(&mut self, server: &Server) {
        self.base.clone_from(&server.url);
    }

    pub(super) fn open(&self, path: &str) {
        let url = format!("{}{path}", self.base);
        self.wait(self.client.goto(&url)).unwrap();
    }

    /// Fills in the form and sends it.
    pub(super) fn sign_in(&self, client_id: &str, secret: &str) {
        self.write("#client-id", client_id);
        self.write("#client-secret", secret);
        self.click("form[action='/sign-in'] button");
    }

    /// The path and query of the open page.
    pub(super) fn at(&self) -> String {
        let url = self.wait(self.client.current_url()).unwrap();
        let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
        format!("{}{query}", url.path())
    }

    /// Waits until `path` is open and loaded.
    pub(super) fn until_at(&self, path: &str) {
        self.until(&format!("{path} is open"), || self.at() == path && self.is_whole());
    }

    /// Waits for a condition.
    pub(super) fn until(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        let begun = Instant::now();
        while !is_so() {
            assert!(begun.elapsed() < SOON, "timeout: {what}, at {}:\n{:.2000}", self.at(), self.text("body"));
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until an expression is true.
    pub(super) fn until_true(&self, expression: &str) {
        self.until(expression, || self.is_true(expression));
    }

    fn is_whole(&self) -> bool {
        self.is_true("document.readyState === 'complete'")
    }

    /// Whether an expression is true now. Do not call it while the page changes.
    fn is_true(&self, expression: &str) -> bool {
        let script = format!("return !!({expression})");
        self.wait(self.client.execute(&script, Vec::new())).is_ok_and(|value| value == json!(true))
    }

    /// The value of an expression.
    pub(super) fn value(&self, expression: &str) -> Value {
        self.run(&format!("return {expression}"), Vec::new())
    }

    /// Runs a script. The page's content security policy does not block it.
    pub(super) fn run(&self, script: &str, arguments: Vec<Value>) -> Value {
        self.wait(self.client.execute(script, arguments)).unwrap_or_else(|error| panic!("{script:.200}: {error}"))
    }

    /// Runs a script that calls its last argument at its end.
    pub(super) fn run_to_end(&self, script: &str) -> Value {
        self.wait(self.client.execute_async(script, Vec::new())).unwrap()
    }

    fn element(&self, selector: &str) -> Element {
        let found = self.wait(self.client.wait().at_most(SOON).for_element(Locator::Css(selector)));
        found.unwrap_or_else(|error| panic!("{selector} at {}: {error}\n{}", self.at(), self.text("body")))
    }

    /// Opens the details of a summary, if they are closed.
    pub(super) fn unfold(&self, selector: &str) {
        if self.attribute(selector, "open").is_none() {
            self.click(&format!("{selector} > summary"));
        }
    }

    pub(super) fn click(&self, selector: &str) {
        let element = self.element(selector);
        self.wait(element.click()).unwrap_or_else(|error| panic!("{selector}: {error}"));
    }

    /// Clicks the first matching element with this text.
    pub(super) fn click_text(&self, selector: &str, text: &str) {
        let elements = self.wait(self.client.find_all(Locator::Css(selector))).unwrap();
        let found =
            elements.into_iter().find(|element| self.wait(element.text()).is_ok_and(|shown| shown.trim() == text));
        let found = found.unwrap_or_else(|| panic!("no {selector} says {text}: {:?}", self.texts(selector)));
        self.wait(found.click()).unwrap();
    }

    /// Replaces the content of a field.
    pub(super) fn write(&self, selector: &str, text: &str) {
        let element = self.element(selector);
        self.wait(element.clear()).unwrap();
        self.wait(element.send_keys(text)).unwrap();
    }

    /// Presses keys; the focused element receives them.
    pub(super) fn press(&self, keys: &str) {
        let element = self.wait(self.client.active_element()).unwrap();
        self.wait(element.send_keys(keys)).unwrap();
    }

    /// The visible text of the first matching element.
    pub(super) fn text(&self, selector: &str) -> String {
        self.texts(selector).into_iter().next().unwrap_or_default()
    }

    /// The visible text of each matching element.
    pub(super) fn texts(&self, selector: &str) -> Vec<String> {
        let elements = self.wait(self.client.find_all(Locator::Css(selector))).unwrap_or_default();
        elements
            .iter()
            .filter_map(|element| self.wait(element.text()).ok())
            .map(|text| text.trim().to_owned())
            .collect()
    }

    /// The number of matching elements, visible or not.
    pub(super) fn count(&self, selector: &str) -> usize {
        self.wait(self.client.find_all(Locator::Css(selector))).unwrap().len()
    }

    pub(super) fn attribute(&self, selector: &str, name: &str) -> Option<String> {
        let element = self.element(selector);
        self.wait(element.attr(name)).unwrap()
    }

    pub(super) fn back(&self) {
        self.wait(self.client.back()).unwrap();
    }

    /// The session's cookie, as a header.
    pub(super) fn cookie(&self) -> String {
        let cookies = self.wait(self.client.get_all_cookies()).unwrap();
        cookies.iter().map(|cookie| format!("{}={}", cookie.name(), cookie.value())).collect::<Vec<_>>().join("; ")
    }

    /// Sets the preferred color scheme.
    pub(super) fn prefer(&self, scheme: &str) {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.control("Emulation.setEmulatedMedia", &json!({ "features": features }));
    }

    /// Sets the size of the viewport in CSS pixels.
    pub(super) fn resize(&self, width: u32, height: u32) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.control("Emulation.setDeviceMetricsOverride", &size);
    }

    /// Disables script on the pages.
    pub(super) fn without_script(&self) {
        self.control("Emulation.setScriptExecutionDisabled", &json!({ "value": true }));
    }

    /// A screenshot as PNG.
    pub(super) fn picture(&self) -> Vec<u8> {
        self.wait(self.client.screenshot()).unwrap()
    }

    /// Sends a command of the browser's own protocol.
    fn control(&self, command: &str, parameters: &Value) {
        let body = json!({ "cmd": command, "params": parameters });
        self.wait(self.client.issue_cmd(Control(body))).unwrap_or_else(|error| panic!("{command}: {error}"));
    }

    fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // Closing the session also ends the browser.
        let closed: Result<(), CmdError> = self.wait(self.client.clone().close());
        drop(closed);
        drop(self.driver.kill());
        drop(self.driver.wait());
    }
}

/// Starts the driver at a port that the system chooses.
fn start(chromedriver: &PathBuf) -> (Child, u16) {
    let mut command = Command::new(chromedriver);
    let mut driver = command.arg("--port=0").stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
    let said = lines.by_ref().map_while(Result::ok).find_map(|line| {
        let port = line.split_once("successfully on port ")?.1.trim_end_matches('.').parse().ok()?;
        Some(port)
    });
    // A full pipe must not block the driver.
    thread::spawn(move || lines.for_each(drop));
    (driver, said.expect("the driver does not start"))
}

/// A command of the browser's own protocol, which the driver passes on.
#[derive(Debug)]
struct Control(Value);

impl WebDriverCompatibleCommand for Control {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/goog/cdp/execute", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &url::Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(self.0.to_string()))
    }
}
