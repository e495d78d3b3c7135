"""Step of the schema that starts waiting rollouts in shares, by run or by key."""

from __future__ import annotations

# A share is a run, or all rollouts of a key without a run. A row of `queue_shares` has what a
# share has started, on a scale that the shares of a pool have in common; a new one begins half a
# start behind the one whose turn it is, since shares that are always new would hold up all
# others. The row goes at its turn if no rollout of the share waits. Turns are counted while
# several shares wait: one alone needs none.
SHARES = """
CREATE FUNCTION share_of(run TEXT, created_by TEXT) RETURNS TEXT LANGUAGE sql IMMUTABLE AS $$
    SELECT COALESCE('run ' || run, 'key ' || created_by, '')
$$;
ALTER TABLE queue
    ADD COLUMN share TEXT COLLATE "C" NOT NULL DEFAULT '',
    ADD COLUMN priority BIGINT NOT NULL DEFAULT 0;
UPDATE queue SET share = share_of(run, created_by), priority = rollouts.priority
    FROM rollouts WHERE rollouts.seq = queue.rollout_seq;
CREATE INDEX queue_by_share ON queue (pool_id, share, rollout_seq) WHERE owner IS NULL;
CREATE TABLE queue_shares (
    pool_id TEXT COLLATE "C" NOT NULL,
    share TEXT COLLATE "C" NOT NULL,
    start DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (pool_id, share)
) WITH (
    fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000
);
CREATE INDEX queue_shares_by_turn ON queue_shares (pool_id, start, share);
INSERT INTO queue_shares SELECT DISTINCT pool_id, share, 0.0 FROM queue;
CREATE FUNCTION level_of(pool TEXT) RETURNS DOUBLE PRECISION LANGUAGE sql STABLE AS $$
    SELECT COALESCE(MIN(start), 0) FROM synth_pools.queue_shares WHERE pool_id = pool
$$;

-- Triggers maintain the queue and its counts from the rollouts. They are triggers of statements,
-- not of rows: a row that is updated once for each rollout of a batch becomes slower to find with
-- each update.
CREATE OR REPLACE FUNCTION count_changes() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO synth_pools.queue_counts AS counts
            SELECT pool_id, status, COUNT(*) FROM added
            WHERE status IN ('queued', 'running') GROUP BY pool_id, status
            ON CONFLICT (pool_id, status) DO UPDATE SET number = counts.number + EXCLUDED.number;
        INSERT INTO synth_pools.queue
            SELECT pool_id, seq, id, owner, synth_pools.share_of(run, created_by), priority
            FROM added WHERE status = 'queued';
        INSERT INTO synth_pools.queue_shares
            SELECT pool_id, share, synth_pools.level_of(pool_id) + power(1.25, - priority) / 2
            FROM (
                SELECT pool_id, synth_pools.share_of(run, created_by) AS share,
                    MAX(priority) AS priority
                FROM added WHERE status = 'queued' GROUP BY 1, 2
            ) AS waiting ON CONFLICT DO NOTHING;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO synth_pools.queue_counts AS counts
            SELECT pool_id, status, - COUNT(*) FROM removed
            WHERE status IN ('queued', 'running') GROUP BY pool_id, status
            ON CONFLICT (pool_id, status) DO UPDATE SET number = counts.number + EXCLUDED.number;
        DELETE FROM synth_pools.queue USING removed
            WHERE removed.status = 'queued' AND queue.pool_id = removed.pool_id
            AND queue.rollout_seq = removed.seq;
    ELSIF EXISTS (
        SELECT FROM added JOIN removed USING (seq) WHERE added.status <> removed.status
    ) THEN
        INSERT INTO synth_pools.queue_counts AS counts
            SELECT pool_id, status, SUM(step) FROM (
                SELECT pool_id, status, 1 AS step FROM added
                UNION ALL SELECT pool_id, status, -1 FROM removed
            ) AS steps
            WHERE status IN ('queued', 'running') GROUP BY pool_id, status HAVING SUM(step) <> 0
            ON CONFLICT (pool_id, status) DO UPDATE SET number = counts.number + EXCLUDED.number;
        DELETE FROM synth_pools.queue USING added
            WHERE added.status <> 'queued' AND queue.pool_id = added.pool_id
            AND queue.rollout_seq = added.seq;
        INSERT INTO synth_pools.queue
            SELECT pool_id, seq, id, owner, synth_pools.share_of(run, created_by), priority
            FROM added WHERE status = 'queued'
            ON CONFLICT (pool_id, rollout_seq) DO NOTHING;
    END IF;
    RETURN NULL;
END $$;

-- Chooses waiting rollouts of a pool in turn, and counts their starts; the caller claims them.
CREATE FUNCTION take_turns(pool TEXT, most BIGINT)
RETURNS TABLE (seq BIGINT, id TEXT) LANGUAGE plpgsql AS $$
DECLARE
    turn RECORD;
    chosen RECORD;
    last JSONB = '{}';
BEGIN
    WHILE most > 0 LOOP
        SELECT share INTO turn FROM synth_pools.queue_shares
            WHERE pool_id = pool ORDER BY start, share LIMIT 1;
        EXIT WHEN NOT FOUND;
        SELECT rollout_seq, rollout_id, priority INTO chosen FROM synth_pools.queue
            WHERE pool_id = pool AND share = turn.share AND owner IS NULL
            AND rollout_seq > COALESCE(CAST(last ->> turn.share AS BIGINT), 0)
            ORDER BY rollout_seq LIMIT 1;
        IF FOUND THEN
            UPDATE synth_pools.queue_shares SET start = start + power(1.25, - chosen.priority)
                WHERE pool_id = pool AND share = turn.share;
            last = last || jsonb_build_object(turn.share, chosen.rollout_seq);
            most = most - 1;
            seq = chosen.rollout_seq;
            id = chosen.rollout_id;
            RETURN NEXT;
        ELSE
            DELETE FROM synth_pools.queue_shares WHERE pool_id = pool AND share = turn.share;
        END IF;
    END LOOP;
END $$;
"""
