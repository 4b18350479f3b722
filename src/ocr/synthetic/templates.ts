/**
 * The formats of receipt lines, in two families. The recogniser is fine-tuned on `tunedTemplates`; `heldOutTemplates` say the
 * same things in other formats (other dates, labels, separators, groupings, cells for digits), so that a result on them is not
 * a result on remembered layouts. What is filled in (names, banks, amounts) comes from the same lexicon.
 */
import type { SmallRandom } from '../../common/random.ts'
import { toChineseCapitals, toChineseDateCapitals } from './capitals.ts'
import * as lexicon from './lexicon.ts'
import {
  drawAccount,
  drawClock,
  drawCompany,
  drawDay,
  drawFen,
  drawOutlet,
  drawPerson,
  drawSerial,
  formatFen,
  grouped,
  pad2,
} from './text.ts'
import type { Day, Maker } from './text.ts'

/** What a line says. */
export type LineKind =
  | 'account'
  | 'date'
  | 'amount'
  | 'capitals'
  | 'bank'
  | 'company'
  | 'person'
  | 'purpose'
  | 'serial'
  | 'label'
  | 'words'
  | 'characters'
  | 'numbers'

export interface Template {
  kind: LineKind
  /** How often it is used, relative to the others of its family. */
  weight: number
  make: Maker
  /** Whether each character stands in a cell of its own, as the digits of an amount on a printed form. */
  cells?: boolean
}

const template = (kind: LineKind, weight: number, make: Maker): Template => ({ kind, weight, make })

/** A label in front of a value, chosen from several, with one of several separators. */
const labelled =
  (labels: readonly string[], separators: readonly string[], value: Maker): Maker =>
  (random) =>
    random.choice(labels) + random.choice(separators) + value(random)

const oneOf =
  (...makers: readonly Maker[]): Maker =>
  (random) =>
    random.choice(makers)(random)

const date =
  (format: (day: Day) => string): Maker =>
  (random) =>
    format(drawDay(random))

const amount =
  (before: string, after = '', withCommas = true): Maker =>
  (random) =>
    before + formatFen(drawFen(random), withCommas) + after

const pick =
  (items: readonly string[]): Maker =>
  (random) =>
    random.choice(items)

const party = (random: SmallRandom): string => (random.chance(0.6) ? drawCompany(random) : drawPerson(random))

// ---- the family to tune on

const colons = ['：', '：', ':', ': ']

const tunedAccount = oneOf(drawAccount, (random) => grouped(drawAccount(random), 4, ' '))

const tunedDate = oneOf(
  date((d) => `${d.year}年${pad2(d.month)}月${pad2(d.day)}日`),
  date((d) => `${d.year}年${d.month}月${d.day}日`),
  date((d) => `${d.year}-${pad2(d.month)}-${pad2(d.day)}`),
  date((d) => `${d.year}${pad2(d.month)}${pad2(d.day)}`),
  date((d) => `${d.year}/${pad2(d.month)}/${pad2(d.day)}`),
)

const tunedTime: Maker = (random) =>
  `${date((d) => `${d.year}-${pad2(d.month)}-${pad2(d.day)}`)(random)} ${drawClock(random)}`

const tunedAmount = oneOf(
  amount('¥'),
  amount('￥'),
  amount('¥', '', false),
  amount(''),
  amount('', '元'),
  amount('人民币', '元'),
  amount('RMB '),
)

const tunedCapitals: Maker = (random) => toChineseCapitals(drawFen(random, 7))

export const tunedTemplates: readonly Template[] = [
  template('account', 9, tunedAccount),
  template('account', 7, labelled(['账号', '账户', '卡号', '付款账号', '收款账号'], colons, tunedAccount)),
  template('date', 6, tunedDate),
  template('date', 3, tunedTime),
  template('date', 4, labelled(['日期', '交易日期', '记账日期', '打印日期'], colons, tunedDate)),
  template('amount', 9, tunedAmount),
  template('amount', 6, labelled(['金额', '小写', '交易金额', '余额', '手续费', '合计'], colons, tunedAmount)),
  template('capitals', 9, tunedCapitals),
  template('capitals', 4, (random) => '人民币' + tunedCapitals(random)),
  template('capitals', 4, labelled(['大写', '金额大写', '大写金额', '（大写）'], ['：', ':', ''], tunedCapitals)),
  template('bank', 4, pick(lexicon.banks)),
  template('bank', 4, drawOutlet),
  template('bank', 5, (random) => random.choice(lexicon.banks) + drawOutlet(random)),
  template(
    'bank',
    4,
    (random) => `开户行：${random.choice(lexicon.banks)}${random.chance(0.5) ? drawOutlet(random) : ''}`,
  ),
  template('company', 8, drawCompany),
  template('company', 5, labelled(['付款人', '收款人', '户名', '单位名称', '客户名称'], colons, drawCompany)),
  template('person', 5, drawPerson),
  template('person', 6, labelled(['付款人', '收款人', '户名', '经办人', '复核', '柜员'], colons, drawPerson)),
  template('purpose', 4, pick(lexicon.purposes)),
  template('purpose', 5, labelled(['用途', '摘要', '附言', '备注'], colons, pick(lexicon.purposes))),
  template('serial', 4, (random) => drawSerial(random, random.integer(0, 3), random.integer(8, 14))),
  template(
    'serial',
    4,
    labelled(['流水号', '凭证号', '回单编号', '交易流水'], colons, (r) =>
      drawSerial(r, r.integer(0, 2), r.integer(8, 12)),
    ),
  ),
  template('label', 5, pick(lexicon.remarks)),
  template(
    'label',
    3,
    (random) => `${random.choice(lexicon.banks)}${random.choice(['业务回单', '电子回单', '客户回单', '进账单'])}`,
  ),
]

// ---- the family to measure on

/** A label in brackets, or followed by a blank or an arrow instead of the colon of the other family. */
const marked =
  (labels: readonly string[], value: Maker): Maker =>
  (random) => {
    const label = random.choice(labels)
    return random.choice([`【${label}】`, `[${label}]`, `${label} `, `${label} `, `${label}＞`]) + value(random)
  }

const heldOutAccount = oneOf(
  (random) => grouped(drawAccount(random), 4, '-'),
  (random) => grouped(drawAccount(random), 5, ' '),
  (random) => {
    const account = drawAccount(random)
    return `${account.slice(0, 4)}****${account.slice(-4)}`
  },
)

const heldOutDate = oneOf(
  date((d) => `${d.year}.${pad2(d.month)}.${pad2(d.day)}`),
  date((d) => `${pad2(d.day)}/${pad2(d.month)}/${d.year}`),
  date((d) => `${d.year} 年 ${d.month} 月 ${d.day} 日`),
  date((d) => `[${String(d.year).slice(2)}-${pad2(d.month)}-${pad2(d.day)}]`),
)

const heldOutAmount = oneOf(
  amount('CNY '),
  amount('￥***'),
  amount('+'),
  amount('-'),
  amount('(', ')'),
  amount('RMB', '', false),
  amount('＊', '＊'),
  (random) => `¥${Math.floor(drawFen(random) / 100)}元整`,
)

const heldOutCapitals: Maker = (random) =>
  toChineseCapitals(drawFen(random, 6), { ending: '正', endAfterJiao: random.chance(0.5) })

export const heldOutTemplates: readonly Template[] = [
  template('account', 8, heldOutAccount),
  template('account', 7, marked(['A/C NO.', '卡号', '付方账号', '收方账号', '本方'], heldOutAccount)),
  template('date', 6, heldOutDate),
  template('date', 3, (random) => `${heldOutDate(random)} ${drawClock(random).slice(0, 5)}`),
  template(
    'date',
    3,
    date((d) => toChineseDateCapitals(d.year, d.month, d.day)),
  ),
  template('date', 3, marked(['DATE', '入账日', '签发日期', '时间'], heldOutDate)),
  template('amount', 8, heldOutAmount),
  template('amount', 5, marked(['发生额', '本次', '应付', '实收', '总计'], heldOutAmount)),
  { ...template('amount', 3, (random) => `¥${drawFen(random)}`), cells: true },
  { ...template('account', 2, (random) => random.digits(random.integer(8, 12))), cells: true },
  template('capitals', 8, heldOutCapitals),
  template('capitals', 4, (random) => `人民币（大写）${heldOutCapitals(random)}`),
  template('capitals', 4, marked(['合计', '大写', '计人民币'], heldOutCapitals)),
  template('bank', 5, (random) => `${random.choice(lexicon.banks)}（${random.choice(lexicon.cities)}）`),
  template('bank', 4, (random) => `${random.choice(lexicon.banks)}股份有限公司`),
  template('bank', 4, (random) => `${random.choice(['付款行', '收款行', '汇入行'])} ${random.choice(lexicon.banks)}`),
  template('bank', 4, (random) => `${drawOutlet(random)}／${random.choice(lexicon.districts)}`),
  template('company', 7, (random) => `${random.choice(['甲方', '乙方', '付方', '收方'])} ${drawCompany(random)}`),
  template('company', 5, (random) => `（${drawCompany(random)}）`),
  template('person', 4, (random) => `${drawPerson(random)}、${drawPerson(random)}`),
  template(
    'person',
    5,
    (random) =>
      `${random.choice(['客户', '持卡人', '姓名', '经手'])} ${drawPerson(random)}${random.choice(['', '先生', '女士'])}`,
  ),
  template('purpose', 5, (random) => `${random.choice(lexicon.purposes)}（${random.choice(lexicon.purposes)}）`),
  template('purpose', 4, (random) => `${random.choice(['款项', '事由', '附注'])} ${random.choice(lexicon.purposes)}`),
  template('serial', 4, (random) => `No.${random.digits(random.integer(6, 12))}`),
  template('serial', 4, (random) => `${drawSerial(random, 2, 4)}-${drawSerial(random, 1, 5)}`),
  template('label', 4, (random) => `＊${random.choice(lexicon.remarks)}＊`),
  template('label', 4, (random) => `${party(random)} ${random.choice(lexicon.remarks)}`),
]
