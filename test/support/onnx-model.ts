/** ONNX models written by hand, as the file decodes to them: what a test does not say is left out, or as any exporter has it. */
import type {
  OnnxAttributeValue,
  OnnxFunction,
  OnnxGraph,
  OnnxModel,
  OnnxNode,
  OnnxTensor,
} from '../../src/io/formats/onnx/model.ts'

export function onnxNode(
  opType: string,
  inputs: readonly string[],
  outputs: readonly string[] = ['y'],
  attributes: Readonly<Record<string, OnnxAttributeValue>> = {},
  domain = '',
): OnnxNode {
  return { opType, domain, name: '', inputs, outputs, attributes: new Map(Object.entries(attributes)) }
}

/** A value of a graph: float32 of shape [2, 3] where nothing else is said. */
export const onnxValue = (name: string, dataType = 1, shape: OnnxGraph['inputs'][number]['shape'] = [2, 3]) => ({
  name,
  dataType,
  shape,
})

/** A graph from x to y. */
export function onnxGraph(nodes: readonly OnnxNode[], more: Partial<OnnxGraph> = {}): OnnxGraph {
  return {
    name: 'g',
    nodes,
    initializers: [],
    sparseInitializers: 0,
    inputs: [onnxValue('x')],
    outputs: [onnxValue('y')],
    valueInfos: [],
    ...more,
  }
}

/** A model of operators of version `opset`, and of domains of its own. */
export function onnxModel(
  graph: OnnxGraph,
  { opset = 17, domains = [], functions = [] }: Partial<ModelOptions> = {},
): OnnxModel {
  const opsets = new Map([['', opset], ...domains.map((domain) => [domain, 1] as const)])
  return { irVersion: 10, producerName: '', producerVersion: '', metadata: {}, opsets, graph, functions }
}

interface ModelOptions {
  readonly opset: number
  readonly domains: readonly string[]
  readonly functions: readonly OnnxFunction[]
}

export const onnxTensor = (
  content: OnnxTensor['content'],
  dims: readonly number[],
  dataType = 1,
  name = 't',
): OnnxTensor => ({ name, dims, dataType, content })
