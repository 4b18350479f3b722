/**
 * Writes docs/architecture.md: the way of a value through the folders, with the stages of one small program as LONGZHOU_DEBUG prints
 * them. A test compares the file with what this gives, so that it cannot go stale; `npm run docs` writes it.
 */
import { fileURLToPath } from 'node:url'
import { format, resolveConfig } from 'prettier'
import type { Capabilities } from '../../src/codegen/capabilities.ts'
import { generatePlan } from '../../src/codegen/generate.ts'
import { printKernel } from '../../src/codegen/print.ts'
import { printGraph } from '../../src/graph/print.ts'
import { relu } from '../../src/nn/functional/activation.ts'
import { renderC } from '../../src/render/c.ts'
import { renderWasm, wasmText } from '../../src/render/wasm.ts'
import { capture } from '../../src/schedule/capture.ts'
import { printPlan } from '../../src/schedule/print.ts'
import { setDevice } from '../../src/tensor/device.ts'
import { add, matmul, toTensor } from '../../src/tensor/index.ts'

const target = fileURLToPath(new URL('../../docs/architecture.md', import.meta.url))

/** A machine that is the same everywhere, so that the text is. */
const capabilities: Capabilities = {
  vectorBytes: 32,
  threads: 2,
  cacheBytes: [32768, 524288, 4194304],
  blocking: true,
}

interface Stages {
  readonly graph: string
  readonly launches: string
  readonly kernel: string
  readonly c: string
  readonly wasm: string
  readonly wasmBytes: number
}

/** relu(x @ w + b) from graph to launches, and the kernel of relu(x + b), which is shorter than a product's. */
function stages(): Stages {
  setDevice('null')
  const x = toTensor(new Float32Array(6)).reshape([2, 3])
  const w = toTensor(new Float32Array(12)).reshape([3, 4])
  const b = toTensor(new Float32Array(4))
  const recorded = capture([relu(add(matmul(x, w), b)).node], [])
  const { plan, kernels } = generatePlan(recorded, capabilities)
  const alone = capture([relu(add(toTensor(new Float32Array(8)).reshape([2, 4]), b)).node], [])
  const last = generatePlan(alone, capabilities).kernels.at(-1)!
  return {
    graph: printGraph(recorded.nodes),
    launches: printPlan(
      plan,
      kernels.map((k) => k.title),
    ),
    kernel: printKernel(last),
    c: renderC([last], capabilities.vectorBytes),
    wasm: wasmText(last, { relaxedSimd: false }),
    wasmBytes: renderWasm([last], { relaxedSimd: false }).length,
  }
}

const block = (text: string, language = 'text'): string => `\`\`\`${language}\n${text.trimEnd()}\n\`\`\``

function markdown(s: Stages): string {
  return `<!-- Written by scripts/docs/architecture.ts (npm run docs); a test compares. -->

# Architecture

One graph lies under everything: eager-looking code, gradients, optimizers, mixed precision and every backend. A program records nodes;
when a value is asked for, what it needs is captured, scheduled, turned into kernels, printed in a dialect, compiled and run. Only the
\`reference\` backend interprets the graph a second way: it is the oracle that the others are judged by.

## The path of a value

Folders of \`src/\` stand in the order in which a value passes through them, and a file imports only from folders above its own.

| folder | what happens there | where to look first |
| --- | --- | --- |
| \`graph/\` | Functions of tensors make nodes: an op of the table, a dtype, a concrete shape, sources, attributes. Shape and dtype errors are thrown here, at the call. Gradients are a table of rules that make more nodes. | \`ops.ts\`, \`build.ts\`, \`gradient.ts\` |
| \`schedule/\` | What is asked for becomes a program without tensors (\`capture.ts\`). \`fusion.ts\` decides what is kept in memory and what is computed where it is used; \`memory.ts\` gives intermediates places in one arena. | \`capture.ts\`, \`fusion.ts\`, \`plan.ts\` |
| \`codegen/\` | Each group of fused nodes becomes a kernel of a small language: loops, typed scalars and vectors, loads and stores. Views disappear into index arithmetic; contractions have templates of their own. | \`generate.ts\`, \`groups.ts\`, \`nest.ts\`, \`contract/\` |
| \`render/\` | Dialects print kernels: C text, WebAssembly bytes. Nothing above knows either. | \`c.ts\`, \`wasm.ts\` |
| \`runtime/\` | Backends own memory, compile what was printed (with a cache on disk of kernels and plans) and run plans in order. | \`backend.ts\`, \`cpu/\`, \`wasm/\`, \`reference/\` |
| \`tensor/\` | \`Tensor\` and its functions: recording above, doors below. \`realize.ts\` joins all of the above. | \`tensor.ts\`, \`realize.ts\`, \`lane.ts\` |
| \`nn/\`, \`optimizer/\`, ... | Composites: nothing below knows that they exist. | |

## One program, stage by stage

\`relu(x @ w + b)\` with two rows of x, as \`LONGZHOU_DEBUG=5\` prints it. The graph, sources first:

${block(s.graph)}

The launches, and where each argument lives: one kernel, because adding the bias and cutting off at zero is done where the product's tiles
are stored. Sizes and strides are arguments, so another batch is another plan of the same kernels:

${block(s.launches)}

A product's kernel is long. Here is what \`relu(x + b)\` would be by itself, in the language between graph and dialect: two nodes and some
views, and one loop:

${block(s.kernel)}

The same in C, with the helpers that it uses:

${block(s.c, 'c')}

And in WebAssembly, as text; what is sent to the engine are ${s.wasmBytes} bytes, of which 128-bit lanes do four elements at a time:

${block(s.wasm)}

## Laziness: recording and doors

Building a network, \`backward()\` and \`optimizer.step()\` record synchronously. Values exist behind doors: \`await t.data()\`, \`item()\`,
\`array()\`, \`await realize(...)\`, functions whose result's shape depends on data, and \`step()\`, which submits forward, backward and update as
one plan without waiting for it. A recording that passes no door is submitted when it grows too long (\`tensor/session.ts\`).

Every program gives what running each op at once would give, or a typed error:

- Random draws inside a graph are functions of a key and a counter that are fixed when they are recorded. Forward, backward and a later read
  see one mask.
- What a loop usually reads after a step was computed with it: losses on which \`backward()\` was called, outputs of outermost layers, what
  metrics were given, and whatever \`keep()\` was called on.
- A fault while a plan runs (an index out of range) ends that plan before it overwrites anything later. The error is thrown at the next door,
  and again by whatever reads a result of that plan; parameters keep their values.

## Captures and keys

\`capture\` walks from the roots (what is asked for) and the writes (what is overwritten) to the leaves. It shares equal nodes, numbers leaves and
the numbers of the run (learning rates, seeds), and orders nodes as they were recorded. Two integers of 32 bits, mixed from everything but the
numbers of the run, are the key: the second step of a training loop finds the plan of the first one and makes nothing anew.

## Plans

A plan holds launches in order, over leaves, outputs and one arena of intermediates; it holds no tensors, so a cached plan keeps no memory
alive. What depends on sizes is in its numbers. The kernels depend on structure only (\`codegen/structure.ts\`): ranks, broadcasting, contiguity,
windows, dtypes. A new batch, width or length of a known program makes a new plan in TypeScript and compiles nothing.

On \`cpu\` a plan is also kept on disk, beside its kernels (\`runtime/cpu/plan-store.ts\`), under a digest of the program with its sizes, the
capabilities and the generator's sources. Another process reads it instead of scheduling and generating; what does not hold against the
program's memory is planned anew.

Predictors go one step further (\`inference/kept/\`). Once a model from a file has run at some shapes, its plan, its packed weights and
what a predictor tells of it are written to a directory that is named by the contents of the model's files and the package's sources. A predictor in
another process loads these and nothing of the readers, tensors, scheduler or generator; the first shape that nobody has met brings them. An index by
path says what the files held when they were last looked at, and is believed as long as their times and inodes are the same. Each piece of weights has
a checksum; what is damaged is made anew. At most 4 GiB are kept, and a tenth of the disk stays free.

## Lanes

One lane a device (\`tensor/lane.ts\`) runs plans in the order of submission. Compilation is asynchronous; on \`cpu\` plans run on threads of their
own while JavaScript records the next step, at most a few ahead. A door waits for its lane, not for a plan.

## Versions

Parameters, moments and running statistics are overwritten in place. A storage counts its writes; a leaf names a storage and a version
(\`graph/storage.ts\`). A write that is only recorded stands in the graph as the value to be written, so whoever reads the new version finds it
there, and whoever reads the old one in the same plan reads before it is overwritten: the plan computes aside what would come too early. A node
that needs a version that is gone throws \`StaleTensorError\`, which says to read before \`step()\` or to \`keep()\`. A read that is under way when its
memory is overwritten keeps that memory; the write goes to new memory.

## Memory

Intermediates live in the arena of the executor. What a program holds on to (tensors, parameters) lives in buffers that are freed when nobody
has them. A realised node that autograd no longer wants forgets its sources, so chains do not keep their past alive. A loss that is read before
\`backward()\` leaves in memory, besides, the contractions and reductions that its gradient needs (\`tensor/saved.ts\`), until \`backward()\`
has been there or nobody holds the loss.

Weights of predictors on \`cpu\`, and what is packed from them, live in memory that all threads of the process read
(\`runtime/shared-memory.ts\`): found by what they hold or by what they are computed from, written before anybody else finds them and never after,
counted by references, which end with the buffer, with \`dispose()\`, or with the thread.
`
}

/** The text of docs/architecture.md. */
export async function architecture(): Promise<string> {
  return format(markdown(stages()), { ...(await resolveConfig(target)), filepath: target })
}
