/**
 * The table of commands. A command is one row here and one module, which is loaded only when the command runs or shows its help:
 * `longzhou --help` must not load a tensor library.
 */
import type { ArgsDef, CommandDef } from 'citty'

export interface CommandRow {
  readonly name: string
  readonly description: string
  readonly load: () => Promise<{ readonly command: CliCommand }>
}

/** A citty command whose `run` returns the exit code (nothing means 0). */
export interface CliCommand {
  readonly args?: ArgsDef
  /** The last positional may be repeated; all of them are in `_`. */
  readonly variadic?: true
  /** Options that may be given several times: their value is a list. */
  readonly repeatable?: readonly string[]
  readonly subCommands?: readonly CommandRow[]
  readonly run?: (args: Readonly<Record<string, unknown>>) => Promise<number | void>
}

export const COMMANDS: readonly CommandRow[] = [
  {
    name: 'doctor',
    description: 'Check this machine: compiler, CPU features, devices, caches, with one fix per problem',
    load: () => import('./commands/doctor.ts'),
  },
  {
    name: 'demo',
    description:
      'Whole runs to look at: `demo receipts` fine-tunes a Chinese text recogniser on bank receipts and reads with it',
    load: () => import('./commands/demo.ts'),
  },
  {
    name: 'train',
    description: 'Train from a configuration file: on your own pictures, on synthetic lines, or on both',
    load: () => import('./commands/train.ts'),
  },
  {
    name: 'read',
    description: 'Read images of text lines with a recogniser file',
    load: () => import('./commands/read.ts'),
  },
  {
    name: 'infer',
    description: 'Run a model file of any format on .npy arrays, and time it',
    load: () => import('./commands/infer.ts'),
  },
  {
    name: 'inspect',
    description: 'Show what a model file holds: operators, parameters, multiplications, what is not supported',
    load: () => import('./commands/inspect.ts'),
  },
  {
    name: 'convert',
    description: 'Write a model file in another format, and prove that it computes the same',
    load: () => import('./commands/convert.ts'),
  },
  {
    name: 'compile',
    description:
      'Compile a model ahead of time: a library for x86-64, Arm or this machine that needs no compiler, or its C',
    load: () => import('./commands/compile.ts'),
  },
  {
    name: 'bench',
    description: 'Training steps, products and convolutions against PyTorch and PaddlePaddle on this machine',
    load: () => import('./commands/bench.ts'),
  },
]

/** The row as citty's usage printer wants it. */
export function usageEntry(row: CommandRow): CommandDef {
  return { meta: { name: row.name, description: row.description } }
}
