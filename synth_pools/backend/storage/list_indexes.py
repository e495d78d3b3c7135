"""Steps of the schema of both databases: the indexes by which lists of rollouts are read.

Each has the column of the pool, so that the list of a pool reads no rows that it does not return.
"""

from __future__ import annotations

# Successive rollouts of a block: the rewards of each block are in order in an index. With larger
# blocks a frequent reward takes more sorting, with smaller ones a rare reward more searches.
BLOCK_BITS = 11

# Columns beside those of the order. What the next step undoes is not done. Databases that a backend
# of before migrated have indexes of the same names.
COVERING = """
DROP INDEX IF EXISTS rollouts_by_pool;
DROP INDEX IF EXISTS rollouts_by_run;
DROP INDEX IF EXISTS rollouts_by_creation;
DROP INDEX IF EXISTS rollouts_by_task;
DROP INDEX IF EXISTS rollouts_by_seed;
DROP INDEX IF EXISTS rollouts_by_error_code;
CREATE INDEX rollouts_by_pool ON rollouts (pool_id, seq, seed, task_id);
CREATE INDEX rollouts_by_run ON rollouts (
    run, seq, status, reward_value, duration, input_tokens, output_tokens, cost_usd, pool_id
) WHERE run IS NOT NULL;
CREATE INDEX rollouts_by_creation ON rollouts (created_at, seq, pool_id);
CREATE INDEX rollouts_by_task ON rollouts (task_id, seq, pool_id) WHERE task_id IS NOT NULL;
CREATE INDEX rollouts_by_seed ON rollouts (seed, seq, pool_id) WHERE seed IS NOT NULL;
CREATE INDEX rollouts_by_error_code ON rollouts (error_code, seq, pool_id)
    WHERE error_code IS NOT NULL
"""

# The run beside what is sorted. What the next step undoes is not done.
SORTED = """
CREATE INDEX rollouts_sorted_by_reward ON rollouts (reward_value, seq, pool_id, run)
    WHERE reward_value IS NOT NULL;
CREATE INDEX rollouts_sorted_by_duration ON rollouts (duration, seq, pool_id, run)
    WHERE duration IS NOT NULL;
CREATE INDEX rollouts_sorted_by_cost ON rollouts (cost_usd, seq, pool_id, run)
    WHERE cost_usd IS NOT NULL;
DROP INDEX IF EXISTS rollouts_with_reward;
DROP INDEX IF EXISTS rollouts_of_pool_with_reward;
DROP INDEX IF EXISTS rollouts_by_reward;
DROP INDEX IF EXISTS rollouts_by_duration;
DROP INDEX IF EXISTS rollouts_by_cost
"""

# Rewards in blocks, in place of those in the order of creation. A former one is dropped last: while
# this one is built, backends on the same server go on reading.
BLOCKS = f"""
CREATE INDEX rollouts_by_block ON rollouts (
    (seq >> {BLOCK_BITS:d}), reward_value, seq, pool_id
) WHERE reward_value IS NOT NULL;
DROP INDEX IF EXISTS rollouts_in_blocks
"""
