/**
 * Amounts in the capitals of Chinese bookkeeping (壹贰叁…), as the payment rules of the People's Bank of China ask for on bills:
 * 整 ends an amount without 分, 零 stands once for any run of zeros inside the amount, and before 分 where there is no 角.
 */
import { ArgumentError } from '../../common/errors.ts'

const DIGITS = '零壹贰叁肆伍陆柒捌玖'
const PLACES = ['', '拾', '佰', '仟']

export interface CapitalsOptions {
  /** How an amount without 分 ends: both 整 and 正 are allowed; by default 整. */
  ending?: '整' | '正'
  /** Whether the ending also follows an amount that ends at 角, where the rules leave it free; by default true. */
  endAfterJiao?: boolean
}

/**
 * An amount of money in capitals: `toChineseCapitals(140950)` is 壹仟肆佰零玖元伍角整.
 *
 * @param fen the amount in 分 (hundredths of a yuan), an integer from 0 to `Number.MAX_SAFE_INTEGER`
 * @throws ArgumentError when `fen` is negative, fractional or too large to be exact
 */
export function toChineseCapitals(fen: number, options: CapitalsOptions = {}): string {
  if (!Number.isSafeInteger(fen) || fen < 0)
    throw new ArgumentError(
      `toChineseCapitals(${fen}): expected a whole, non-negative number of 分; round the amount first.`,
    )
  const { ending = '整', endAfterJiao = true } = options
  const yuan = Math.floor(fen / 100)
  const jiao = Math.floor((fen % 100) / 10)
  const cents = fen % 10
  let text = yuan > 0 || fen === 0 ? `${integerCapitals(yuan)}元` : ''
  if (jiao > 0) text += `${DIGITS[jiao]}角`
  else if (cents > 0 && yuan > 0) text += '零'
  if (cents > 0) return `${text}${DIGITS[cents]}分`
  return jiao === 0 || endAfterJiao ? text + ending : text
}

/** A year, a month or a day as a cheque writes it: the year digit by digit, 零 before what could be prefixed by a forger. */
export function toChineseDateCapitals(year: number, month: number, day: number): string {
  const years = [...String(year)].map((digit) => DIGITS[Number(digit)]).join('')
  // The rules: 零 before months 1, 2 and 10, and before days 1 to 10, 20 and 30.
  const monthZero = month <= 2 || month === 10 ? '零' : ''
  const dayZero = day <= 10 || day % 10 === 0 ? '零' : ''
  return `${years}年${monthZero}${integerCapitals(month)}月${dayZero}${integerCapitals(day)}日`
}

/** Reads in groups of four digits; what stands before 亿 is itself read with 万, so that 10^12 is 壹万亿. */
function integerCapitals(value: number): string {
  if (value === 0) return DIGITS[0] as string
  for (const [unit, name] of [
    [1e8, '亿'],
    [1e4, '万'],
  ] as const) {
    if (value < unit) continue
    const rest = value % unit
    const head = integerCapitals(Math.floor(value / unit)) + name
    if (rest === 0) return head
    return head + (rest < unit / 10 ? '零' : '') + integerCapitals(rest)
  }
  let text = ''
  let zero = false
  for (let place = 3; place >= 0; place--) {
    const digit = Math.floor(value / 10 ** place) % 10
    if (digit === 0) zero = text !== ''
    else {
      text += (zero ? '零' : '') + DIGITS[digit] + PLACES[place]
      zero = false
    }
  }
  return text
}
