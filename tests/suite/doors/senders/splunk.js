const winston = require("winston");
const WinstonSplunk = require("winston-splunk-httplogger");
const { Logger } = require("splunk-logging");

const url = new URL(process.env.URL);
const splunk = { token: process.env.TOKEN, host: url.hostname, port: Number(url.port), protocol: "http", maxBatchCount: 1, sourcetype: "winston-splunk" };
const logger = winston.createLogger({ transports: [new WinstonSplunk({ splunk })] });
logger.info("role changed", { action: "role.update", user: "alice", ip: "203.0.113.7" });
const plain = new Logger({ token: process.env.TOKEN, url: process.env.URL });
plain.send({ message: { action: "role.update", user: "alice", ip: "203.0.113.7" }, metadata: { sourcetype: "splunk-logging" } }, (error, response, body) => {
  if (error || body.code !== 0) throw error || new Error(JSON.stringify(body));
});
setTimeout(() => {}, 1000);
