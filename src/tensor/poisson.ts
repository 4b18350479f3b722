/**
 * Poisson samples from a stream of uniforms. Small means multiply uniforms until the product falls below exp(-mean) (Knuth,
 * TAOCP 3.4.1), in libstdc++'s order of operations; larger ones use PTRS, transformed rejection with squeeze (Hörmann,
 * "The transformed rejection method for generating Poisson random variables", 1993), whose cost does not grow with the mean.
 */

/** Mean from which libstdc++ leaves the product method; the two algorithms agree in distribution, not draw by draw. */
const largeMean = 12

/** One sample with mean `mean` >= 0, taking as many uniforms from [0, 1) as it needs (at least one). */
export function samplePoisson(mean: number, uniform: () => number): number {
  return mean < largeMean ? byProduct(mean, uniform) : byTransformedRejection(mean, uniform)
}

function byProduct(mean: number, uniform: () => number): number {
  const threshold = Math.exp(-mean)
  let product = 1
  let count = -1
  do {
    product *= uniform()
    count++
  } while (product > threshold)
  return count
}

function byTransformedRejection(mean: number, uniform: () => number): number {
  const b = 0.931 + 2.53 * Math.sqrt(mean)
  const a = -0.059 + 0.02483 * b
  const inverseAlpha = 1.1239 + 1.1328 / (b - 3.4)
  const squeeze = 0.9277 - 3.6224 / (b - 2)
  const logMean = Math.log(mean)
  for (;;) {
    const u = uniform() - 0.5
    const v = uniform()
    const distance = 0.5 - Math.abs(u)
    const k = Math.floor(((2 * a) / distance + b) * u + mean + 0.43)
    if (distance >= 0.07 && v <= squeeze) return k
    if (k < 0 || (distance < 0.013 && v > distance)) continue
    const logRatio = Math.log((v * inverseAlpha) / (a / (distance * distance) + b))
    if (logRatio <= k * logMean - mean - logFactorial(k)) return k
  }
}

/** log(k!): summed for small k, Stirling's series (error below 1e-12) from 10 on. */
function logFactorial(k: number): number {
  if (k < 10) {
    let product = 1
    for (let i = 2; i <= k; i++) product *= i
    return Math.log(product)
  }
  const n = k + 1
  const inverse = 1 / n
  const square = inverse * inverse
  const tail = inverse * (1 / 12 - square * (1 / 360 - square * (1 / 1260 - square / 1680)))
  return (n - 0.5) * Math.log(n) - n + 0.5 * Math.log(2 * Math.PI) + tail
}
