import { client } from "./pools_api/client.gen.js";
import { createPool, createRollout, deletePool, streamRolloutEvents } from "./pools_api/sdk.gen.js";

client.setConfig({
  baseUrl: process.env["SYNTH_BACKEND_URL"] ?? "http://127.0.0.1:8080",
  auth: () => process.env["SYNTH_API_KEY"] ?? "",
});
const pool = (await createPool({ body: { name: "events" }, throwOnError: true })).data;
const rollout = (
  await createRollout({ path: { pool_id: pool.id }, body: { env: { events: 3, delay: 0.2 } }, throwOnError: true })
).data;
const { stream } = await streamRolloutEvents({ path: { pool_id: pool.id, rollout_id: rollout.id } });
for await (const event of stream) {
  const sequence: number = event.sequence;
  console.log(sequence, event.event);
  if (event.event === "rollout.completed") break;
}
await deletePool({ path: { pool_id: pool.id } });
