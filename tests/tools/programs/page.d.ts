// Types that the modules of the live page use by name; those of the API come from openapi.yaml.
import type { components } from "./api.js";
import type { Row as StoredRow } from "./page/store.js";

// Without what objects may hold beyond the document, so that a misspelt name is one.
type Known<T> = { [K in keyof T as string extends K ? never : K]: T[K] };
type Schema<Name extends keyof components["schemas"]> = Known<components["schemas"][Name]>;

declare global {
  type Row = StoredRow;
  type PoolsEvent = Omit<Schema<"RolloutEvent">, "data"> & { data: Record<string, any> };
  type Rollout = Schema<"Rollout">;
  type Pool = Schema<"Pool">;
  type PoolMetrics = Schema<"PoolMetrics">;
  type Artifact = Schema<"Artifact">;
  type RolloutUsage = Schema<"RolloutUsage">;
  type LogLine = Schema<"PoolLogLine">;
  type StartedProcess = Schema<"StartedProcess">;
  type Run = Schema<"Run">;
  type QueueStatus = Schema<"QueueStatus">;

  interface AskedField {
    name: string;
    label: string;
    hint?: string;
    isLong?: boolean;
    [attribute: string]: unknown;
  }
  interface Asked {
    title: string;
    text?: string;
    verb: string;
    fields?: AskedField[];
    isDanger?: boolean;
    run: (values: Record<string, any>) => Promise<unknown>;
  }
  interface Step {
    number: number;
    source: string;
    model: string;
    at: number;
    isError: boolean;
    seconds: number | null;
    tokens: string;
    cost?: number | null;
    reward: unknown;
    parts: [string, string][];
  }
  interface PlotSet {
    label: string;
    rows: Row[];
    place: string[];
    chosen?: Record<string, string>;
  }
  interface Plot {
    title: string;
    unit: string;
    xs: number[];
    ys: (number | null)[][];
    labels: string[];
    isBars?: boolean;
  }
}
