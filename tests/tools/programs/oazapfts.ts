import { createPool, createRollout, defaults, getPool } from "./pools_api.js";

defaults.baseUrl = process.env["SYNTH_BACKEND_URL"] ?? "http://127.0.0.1:8080";
defaults.headers = { Authorization: `Bearer ${process.env["SYNTH_API_KEY"]}` };
const pool = await createPool({ name: "oazapfts" });
if (pool.status !== 201) throw new Error(`no pool: ${pool.data.error?.code}`);
const run = await createRollout(pool.data.id, { mode: "sync", env: { reward: 0.75 } });
// The type of `data` follows from the status.
if (run.status === 200) console.log(run.data.status, run.data.metrics.outcome_reward);
const unknown = await getPool("unknown");
if (unknown.status === 404) console.log(unknown.status, unknown.data.error?.code);
