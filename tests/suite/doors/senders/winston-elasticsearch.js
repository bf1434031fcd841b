const winston = require("winston");
const { ElasticsearchTransport } = require("winston-elasticsearch");

const transport = new ElasticsearchTransport({ level: "info", index: "audit", clientOpts: { node: process.env.URL, auth: { username: "x", password: process.env.TOKEN } } });
const logger = winston.createLogger({ transports: [transport] });
logger.info("role changed", { action: "role.update", resourceType: "winston-elasticsearch", user: "alice", ip: "203.0.113.7" });
setTimeout(() => transport.flush().then(() => process.exit(0)), 500);
