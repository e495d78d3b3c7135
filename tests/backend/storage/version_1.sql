-- What a backend of database version 1 left when it was killed, as `.dump` prints it.
PRAGMA user_version = 1;
BEGIN TRANSACTION;
CREATE TABLE events (
    rollout_seq INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    type TEXT NOT NULL,
    timestamp TEXT NOT NULL,
    data TEXT NOT NULL,
    PRIMARY KEY (rollout_seq, sequence)
) WITHOUT ROWID;
INSERT INTO "events" VALUES(1,1,'rollout.queued','2026-11-25T13:59:44.059942Z','{"status":"queued"}');
INSERT INTO "events" VALUES(1,2,'rollout.started','2026-11-25T13:59:44.068072Z','{"status":"running"}');
INSERT INTO "events" VALUES(1,3,'agent','2026-11-25T13:59:44.069381Z','{"step":1,"of":1,"message":"echo"}');
INSERT INTO "events" VALUES(1,4,'reward','2026-11-25T13:59:44.073948Z','{"outcome_reward":1.0}');
INSERT INTO "events" VALUES(1,5,'rollout.completed','2026-11-25T13:59:44.073948Z','{"status":"completed","outcome_reward":1.0}');
INSERT INTO "events" VALUES(2,1,'rollout.queued','2026-11-25T13:59:44.080883Z','{"status":"queued"}');
INSERT INTO "events" VALUES(2,2,'rollout.started','2026-11-25T13:59:44.083972Z','{"status":"running"}');
INSERT INTO "events" VALUES(2,3,'agent','2026-11-25T13:59:44.089842Z','{"step":1,"of":1,"message":"echo"}');
INSERT INTO "events" VALUES(2,4,'rollout.failed','2026-11-25T13:59:44.095582Z','{"status":"failed","error":{"code":"container_failed","message":"env.fail asked for a failure","details":{"status":"failed","success_status":"failure"}}}');
INSERT INTO "events" VALUES(3,1,'rollout.queued','2026-11-25T13:59:44.101618Z','{"status":"queued"}');
INSERT INTO "events" VALUES(3,2,'rollout.started','2026-11-25T13:59:44.108501Z','{"status":"running"}');
INSERT INTO "events" VALUES(3,3,'agent','2026-11-25T13:59:44.109113Z','{"step":1,"of":1,"message":"echo"}');
INSERT INTO "events" VALUES(3,4,'reward','2026-11-25T13:59:44.117679Z','{"outcome_reward":1.0}');
INSERT INTO "events" VALUES(3,5,'rollout.completed','2026-11-25T13:59:44.117679Z','{"status":"completed","outcome_reward":1.0}');
INSERT INTO "events" VALUES(4,1,'rollout.queued','2026-11-25T13:59:44.126506Z','{"status":"queued"}');
INSERT INTO "events" VALUES(4,2,'rollout.started','2026-11-25T13:59:44.130928Z','{"status":"running"}');
INSERT INTO "events" VALUES(5,1,'rollout.queued','2026-11-25T13:59:44.188675Z','{"status":"queued"}');
INSERT INTO "events" VALUES(5,2,'rollout.started','2026-11-25T13:59:44.201110Z','{"status":"running"}');
INSERT INTO "events" VALUES(6,1,'rollout.queued','2026-11-25T13:59:44.201229Z','{"status":"queued"}');
INSERT INTO "events" VALUES(6,2,'rollout.started','2026-11-25T13:59:44.209346Z','{"status":"running"}');
INSERT INTO "events" VALUES(7,1,'rollout.queued','2026-11-25T13:59:44.234115Z','{"status":"queued"}');
INSERT INTO "events" VALUES(8,1,'rollout.queued','2026-11-25T13:59:44.249580Z','{"status":"queued"}');
INSERT INTO "events" VALUES(8,2,'rollout.cancelled','2026-11-25T13:59:44.259681Z','{"status":"cancelled"}');
CREATE TABLE idempotency (
    scope TEXT NOT NULL,
    key TEXT NOT NULL,
    body_sha256 TEXT NOT NULL,
    rollout_id TEXT NOT NULL,
    created REAL NOT NULL,
    PRIMARY KEY (scope, key)
) WITHOUT ROWID;
INSERT INTO "idempotency" VALUES('create_rollout:old','a-key','96aab2212ddfc617aaafd175e41a487317aa28f5ca87d278ef59105e3566b982','rollout_d8c9c7a55c514b4abfd0fe549caff61d',1.79561518410169386e+09);
CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;
INSERT INTO "meta" VALUES('cursor_secret','d847387650ca04131a6399c63c3af1968f889232265d635417e8fa4f01e078b4');
CREATE TABLE pools (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    status TEXT NOT NULL,
    definition TEXT NOT NULL,
    concurrency INTEGER NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    archived_at TEXT
);
INSERT INTO "pools" VALUES(1,'old','active','{"name":"made by version 1","concurrency":2,"metadata":{"k":[1,null]}}',2,'2026-11-25T13:59:43.909638Z','2026-11-25T13:59:43.909638Z',NULL);
INSERT INTO "pools" VALUES(2,'elsewhere','active','{"name":"a pool","container_url":"http://127.0.0.1:9"}',8,'2026-11-25T13:59:44.045698Z','2026-11-25T13:59:44.045698Z',NULL);
CREATE TABLE rollouts (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    pool_id TEXT NOT NULL,
    task_id TEXT,
    status TEXT NOT NULL,
    mode TEXT NOT NULL,
    request TEXT NOT NULL,
    trace_correlation_id TEXT NOT NULL DEFAULT 'null',
    result TEXT NOT NULL DEFAULT 'null',
    metrics TEXT NOT NULL DEFAULT '{"outcome_reward":null}',
    reward TEXT NOT NULL DEFAULT 'null',
    error TEXT NOT NULL DEFAULT 'null',
    usage TEXT NOT NULL DEFAULT '{}',
    artifacts TEXT NOT NULL DEFAULT '[]',
    created_at TEXT NOT NULL,
    started_at TEXT,
    finished_at TEXT,
    updated_at TEXT NOT NULL,
    last_sequence INTEGER NOT NULL
);
INSERT INTO "rollouts" VALUES(1,'rollout_03076bd8151b45cfa6826a7bee4aeee6','old','t','completed','sync','{"mode":"sync","task_id":"t","seed":7,"messages":[{"role":"user","content":"h\u00e9; \ud83d\ude00 it''s"}]}','null','{"rollout_id":"rollout_03076bd8151b45cfa6826a7bee4aeee6","status":"completed","success_status":"success","created_at":"2026-11-25T13:59:44.069285Z","updated_at":"2026-11-25T13:59:44.073572Z","metrics":{"outcome_reward":1.0},"summary":{"reward":1.0},"echo":{"task_id":"t","seed":7,"messages":[{"role":"user","content":"h\u00e9; \ud83d\ude00 it''s"}],"rollout_id":"rollout_03076bd8151b45cfa6826a7bee4aeee6","submission_mode":"sync"},"artifact":[{"name":"echo.json","content":{"task_id":"t","seed":7,"messages":[{"role":"user","content":"h\u00e9; \ud83d\ude00 it''s"}],"rollout_id":"rollout_03076bd8151b45cfa6826a7bee4aeee6","submission_mode":"sync"},"content_type":"application/json","metadata":{}}]}','{"outcome_reward":1.0}','1.0','null','{"llm_input_tokens":null,"llm_output_tokens":null,"bytes_uploaded":0,"bytes_downloaded":0,"cost_usd":null,"provider_costs":{}}','[{"artifact_id":"artifact_086767642765493eab72e7c386a26156","artifact_type":"application/json","kind":"application/json","artifact_name":"echo.json","path":"echo.json","size_bytes":173,"sha256":"a4f1332e9a5b968ca6736211cc98b2e769ce9f4e31511df81aab876334521e06","content_type":"application/json","created_at":"2026-11-25T13:59:44.073666Z","download_url":null,"metadata":{}}]','2026-11-25T13:59:44.059942Z','2026-11-25T13:59:44.068072Z','2026-11-25T13:59:44.073948Z','2026-11-25T13:59:44.073948Z',5);
INSERT INTO "rollouts" VALUES(2,'rollout_6e7a96f37a2b464ab24c101f1016fe81','old',NULL,'failed','sync','{"mode":"sync","env":{"fail":true}}','null','{"rollout_id":"rollout_6e7a96f37a2b464ab24c101f1016fe81","status":"failed","success_status":"failure","created_at":"2026-11-25T13:59:44.089746Z","updated_at":"2026-11-25T13:59:44.095355Z","metrics":{"outcome_reward":null},"summary":{"reward":null},"echo":{"env":{"fail":true},"rollout_id":"rollout_6e7a96f37a2b464ab24c101f1016fe81","submission_mode":"sync"},"artifact":[{"name":"echo.json","content":{"env":{"fail":true},"rollout_id":"rollout_6e7a96f37a2b464ab24c101f1016fe81","submission_mode":"sync"},"content_type":"application/json","metadata":{}}],"status_detail":"env.fail asked for a failure"}','{"outcome_reward":null}','null','{"code":"container_failed","message":"env.fail asked for a failure","details":{"status":"failed","success_status":"failure"}}','{"llm_input_tokens":null,"llm_output_tokens":null,"bytes_uploaded":0,"bytes_downloaded":0,"cost_usd":null,"provider_costs":{}}','[{"artifact_id":"artifact_f9e7919b91544e3d98171cab726719ed","artifact_type":"application/json","kind":"application/json","artifact_name":"echo.json","path":"echo.json","size_bytes":102,"sha256":"6e3115891c2a38abf8ce1552eb21d29f624ce8158ee18b9d014fbcaafdf31307","content_type":"application/json","created_at":"2026-11-25T13:59:44.095454Z","download_url":null,"metadata":{}}]','2026-11-25T13:59:44.080883Z','2026-11-25T13:59:44.083972Z','2026-11-25T13:59:44.095582Z','2026-11-25T13:59:44.095582Z',4);
INSERT INTO "rollouts" VALUES(3,'rollout_d8c9c7a55c514b4abfd0fe549caff61d','old',NULL,'completed','async','{"seed":9}','null','{"rollout_id":"rollout_d8c9c7a55c514b4abfd0fe549caff61d","status":"completed","success_status":"success","created_at":"2026-11-25T13:59:44.109018Z","updated_at":"2026-11-25T13:59:44.117452Z","metrics":{"outcome_reward":1.0},"summary":{"reward":1.0},"echo":{"seed":9,"rollout_id":"rollout_d8c9c7a55c514b4abfd0fe549caff61d","submission_mode":"sync"},"artifact":[{"name":"echo.json","content":{"seed":9,"rollout_id":"rollout_d8c9c7a55c514b4abfd0fe549caff61d","submission_mode":"sync"},"content_type":"application/json","metadata":{}}]}','{"outcome_reward":1.0}','1.0','null','{"llm_input_tokens":null,"llm_output_tokens":null,"bytes_uploaded":0,"bytes_downloaded":0,"cost_usd":null,"provider_costs":{}}','[{"artifact_id":"artifact_b0a508d23a484c33baf7e03f563f9724","artifact_type":"application/json","kind":"application/json","artifact_name":"echo.json","path":"echo.json","size_bytes":91,"sha256":"6da79c5a6b1680f28291416f30028cfdf639d18734f727c70a7a65bb5e8ea410","content_type":"application/json","created_at":"2026-11-25T13:59:44.117544Z","download_url":null,"metadata":{}}]','2026-11-25T13:59:44.101618Z','2026-11-25T13:59:44.108501Z','2026-11-25T13:59:44.117679Z','2026-11-25T13:59:44.117679Z',5);
INSERT INTO "rollouts" VALUES(4,'rollout_05ffa97fbcaf421db0f869ac7803657c','elsewhere','there','running','async','{"task_id":"there"}','null','null','{"outcome_reward":null}','null','null','{}','[]','2026-11-25T13:59:44.126506Z','2026-11-25T13:59:44.130928Z',NULL,'2026-11-25T13:59:44.130928Z',2);
INSERT INTO "rollouts" VALUES(5,'rollout_6f13adb8116f42a6b58a32da15aee90e','old',NULL,'running','async','{"env":{"delay":3600,"events":0}}','null','null','{"outcome_reward":null}','null','null','{}','[]','2026-11-25T13:59:44.188675Z','2026-11-25T13:59:44.201110Z',NULL,'2026-11-25T13:59:44.201110Z',2);
INSERT INTO "rollouts" VALUES(6,'rollout_f00304b27b024254885a28bddb2d84eb','old',NULL,'running','async','{"env":{"delay":3600,"events":0}}','null','null','{"outcome_reward":null}','null','null','{}','[]','2026-11-25T13:59:44.201229Z','2026-11-25T13:59:44.209346Z',NULL,'2026-11-25T13:59:44.209346Z',2);
INSERT INTO "rollouts" VALUES(7,'rollout_710ab7301ca0430ea4896efddf68a621','old',NULL,'queued','async','{"seed":5}','null','null','{"outcome_reward":null}','null','null','{}','[]','2026-11-25T13:59:44.234115Z',NULL,NULL,'2026-11-25T13:59:44.234115Z',1);
INSERT INTO "rollouts" VALUES(8,'rollout_e378ec5df3334790b1403b54c4886d34','old',NULL,'cancelled','async','{"seed":6}','null','null','{"outcome_reward":null}','null','null','{}','[]','2026-11-25T13:59:44.249580Z',NULL,'2026-11-25T13:59:44.259681Z','2026-11-25T13:59:44.259681Z',2);
CREATE TABLE tasks (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    pool_id TEXT NOT NULL,
    id TEXT NOT NULL,
    definition TEXT NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    UNIQUE (pool_id, id)
);
INSERT INTO "tasks" VALUES(1,'old','t','{}','2026-11-25T13:59:43.909849Z','2026-11-25T13:59:43.909849Z');
INSERT INTO "tasks" VALUES(2,'elsewhere','there','{"container_url":"http://127.0.0.1:1"}','2026-11-25T13:59:44.051394Z','2026-11-25T13:59:44.051394Z');
CREATE INDEX pools_by_status ON pools (status, seq);
CREATE INDEX tasks_by_id ON tasks (id, pool_id);
CREATE INDEX rollouts_by_status ON rollouts (status, seq);
CREATE INDEX rollouts_by_pool ON rollouts (pool_id, seq);
CREATE INDEX rollouts_by_pool_and_status ON rollouts (pool_id, status, seq);
CREATE INDEX idempotency_by_age ON idempotency (created);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('pools',2);
INSERT INTO "sqlite_sequence" VALUES('tasks',2);
INSERT INTO "sqlite_sequence" VALUES('rollouts',8);
COMMIT;
