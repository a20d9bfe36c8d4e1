// Node-RED for the benchmark: no editor, no telemetry, one flow, a pool as large as ours.
const { Pool } = require("pg");

module.exports = {
  uiHost: "127.0.0.1",
  uiPort: Number(process.env.PEER_PORT),
  httpAdminRoot: false,
  flowFile: "flows.json",
  credentialSecret: false,
  telemetry: { enabled: false, updateNotification: false },
  logging: { console: { level: "warn" } },
  functionGlobalContext: {
    crypto: require("crypto"),
    pool: new Pool({ connectionString: process.env.PEER_DATABASE, max: 16 }),
    secret: process.env.PEER_SECRET,
  },
};
