const pino = require("pino");
const pinoElastic = require("pino-elasticsearch");

const stream = pinoElastic({ node: process.env.URL, index: "audit", esVersion: 8, flushBytes: 1, auth: { username: "x", password: process.env.TOKEN } });
stream.on("insertError", (error) => { throw error; });
const logger = pino({ level: "info" }, stream);
logger.info({ action: "role.update", resourceType: "pino-elasticsearch", user: "alice", ip: "203.0.113.7" }, "role changed");
stream.end();
