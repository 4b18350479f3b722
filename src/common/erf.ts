/**
 * The error function to double accuracy, and its inverse by Wichura's rational approximations (Algorithm AS 241, PPND16,
 * Applied Statistics 37, 1988), also as a float32 program would compute it.
 */

const twoOverSqrtPi = 2 / Math.sqrt(Math.PI)

/** erf(x) = 2/sqrt(pi) * integral of exp(-t^2) from 0 to x; relative error below 1e-15 or so. */
export function erf(x: number): number {
  const magnitude = Math.abs(x)
  if (Number.isNaN(x)) return NaN
  if (magnitude > 6) return Math.sign(x)
  return Math.sign(x) * (magnitude < 2 ? erfSeries(magnitude) : 1 - erfcFraction(magnitude))
}

/** Series of all-positive terms (Abramowitz & Stegun 7.1.6), so that nothing cancels. */
function erfSeries(x: number): number {
  let term = x
  let sum = x
  for (let n = 1; term > sum * 1e-17; n++) {
    term *= (2 * x * x) / (2 * n + 1)
    sum += term
  }
  return twoOverSqrtPi * Math.exp(-x * x) * sum
}

/** Continued fraction of erfc for x >= 2 (Abramowitz & Stegun 7.1.14), evaluated from the tail. */
function erfcFraction(x: number): number {
  let tail = x
  for (let n = 60; n > 0; n--) tail = x + n / 2 / tail
  return Math.exp(-x * x) / (Math.sqrt(Math.PI) * tail)
}

type Polynomial = readonly number[]

// Coefficients of AS 241 for the normal quantile, lowest power first: central region, middle tail, far tail.
const central: readonly [Polynomial, Polynomial] = [
  [
    3.387132872796366608, 133.14166789178437745, 1971.5909503065514427, 13731.693765509461125, 45921.953931549871457,
    67265.770927008700853, 33430.575583588128105, 2509.0809287301226727,
  ],
  [
    1, 42.313330701600911252, 687.1870074920579083, 5394.1960214247511077, 21213.794301586595867, 39307.89580009271061,
    28729.085735721942674, 5226.495278852854561,
  ],
]
const middleTail: readonly [Polynomial, Polynomial] = [
  [
    1.42343711074968357734, 4.6303378461565452959, 5.7694972214606914055, 3.64784832476320460504,
    1.27045825245236838258, 0.24178072517745061177, 0.0227238449892691845833, 7.7454501427834140764e-4,
  ],
  [
    1, 2.05319162663775882187, 1.6763848301838038494, 0.68976733498510000455, 0.14810397642748007459,
    0.0151986665636164571966, 5.475938084995344946e-4, 1.05075007164441684324e-9,
  ],
]
const farTail: readonly [Polynomial, Polynomial] = [
  [
    6.6579046435011037772, 5.4637849111641143699, 1.7848265399172913358, 0.29656057182850489123,
    0.026532189526576123093, 0.0012426609473880784386, 2.71155556874348757815e-5, 2.01033439929228813265e-7,
  ],
  [
    1, 0.59983220655588793769, 0.13692988092273580531, 0.0148753612908506148525, 7.868691311456132591e-4,
    1.8463183175100546818e-5, 1.4215117583164458887e-7, 2.04426310338993978564e-15,
  ],
]

interface Region {
  readonly numerator: Polynomial
  readonly denominator: Polynomial
}

interface Regions {
  readonly central: Region
  readonly middleTail: Region
  readonly farTail: Region
}

/** erfinv(x) = quantile((1 + x) / 2) / sqrt(2): the factor goes into the tables, which are then stored as `round` says. */
function regions(round: (x: number) => number): Regions {
  const region = (table: readonly [Polynomial, Polynomial], above: number, below: number): Region => ({
    numerator: table[0].map((c) => round(c * above)),
    denominator: table[1].map((c) => round(c * below)),
  })
  return {
    central: region(central, 1 / (2 * Math.SQRT2), 1),
    middleTail: region(middleTail, 1, Math.SQRT2),
    farTail: region(farTail, 1, Math.SQRT2),
  }
}

const identity = (x: number): number => x

const erfinvOf = (round: (x: number) => number): ((x: number) => number) => {
  const { central, middleTail, farTail } = regions(round)
  const ln2 = round(Math.LN2)
  const evaluate = (p: Polynomial, r: number): number => {
    let value = p[7]!
    for (let i = 6; i >= 0; i--) value = round(round(value * r) + p[i]!)
    return value
  }
  return (x) => {
    const magnitude = Math.abs(x)
    if (!(magnitude <= 1)) return NaN
    if (magnitude === 1) return x * Infinity
    if (magnitude <= 0.85) {
      const r = round(0.180625 - 0.25 * x * x)
      return round(round(x * evaluate(central.numerator, r)) / evaluate(central.denominator, r))
    }
    const depth = round(Math.sqrt(ln2 - Math.log(1 - magnitude)))
    const tail = depth <= 5 ? middleTail : farTail
    const r = round(depth - (depth <= 5 ? 1.6 : 5))
    return Math.sign(x) * round(evaluate(tail.numerator, r) / evaluate(tail.denominator, r))
  }
}

/** Inverse of `erf` on [-1, 1]: infinite at the ends, NaN outside; relative error about 1e-16. */
export const erfinv = erfinvOf(identity)

/** The inverse with every intermediate rounded to float32, which is how Paddle computes truncated normals of float32. */
export const erfinvFloat32 = erfinvOf(Math.fround)
