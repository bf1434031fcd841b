const { CloudEvent, HTTP } = require("cloudevents");

(async () => {
  for (const mode of ["structured", "binary"]) {
    const event = new CloudEvent({ type: "cloudevents-js.role.update", source: "/" + mode, subject: "billing", authid: "alice", data: { ip: "203.0.113.7" } });
    const message = HTTP[mode](event);
    const response = await fetch(process.env.URL + "/cloudevents", { method: "POST", body: message.body, headers: { ...message.headers, Authorization: "Bearer " + process.env.TOKEN } });
    if (!response.ok) throw new Error(await response.text());
  }
})();
