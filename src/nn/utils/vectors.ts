/** Parameters as one vector and back, as in paddle.nn.utils.transform_parameters. */
import { ShapeError } from '../../common/errors.ts'
import { formatShape } from '../../common/shape.ts'
import { reshape, sliceAxis } from '../../graph/build.ts'
import { withGrad } from '../../graph/node.ts'
import { concat } from '../../tensor/manipulation.ts'
import { flatten } from '../../tensor/shaping.ts'
import { Tensor } from '../../tensor/tensor.ts'

/** All elements in one vector, in order, `paddle.nn.utils.parameters_to_vector`. */
export function parametersToVector(parameters: readonly Tensor[]): Tensor {
  return concat(parameters.map((p) => flatten(p)))
}

/** Writes a vector's elements into parameters, in order, `paddle.nn.utils.vector_to_parameters`. Throws ShapeError unless their numbers agree. */
export function vectorToParameters(vector: Tensor, parameters: readonly Tensor[]): void {
  const total = parameters.reduce((n, p) => n + p.size, 0)
  if (vector.ndim !== 1 || vector.size !== total)
    throw new ShapeError(
      `vectorToParameters: the parameters have ${total} elements, the vector is ${formatShape(vector.shape)}`,
    )
  withGrad(false, () => {
    let start = 0
    for (const p of parameters) {
      p.assign(new Tensor(reshape(sliceAxis(vector.node, 0, start, start + p.size), p.shape)))
      start += p.size
    }
  })
}
