/** The page of ONNX operators: what is read, from the table of rules, and what is written, from the table of writers. */
import { format, resolveConfig } from 'prettier'
import { refusedOperators } from '../../src/io/formats/onnx/reader/rules/control.ts'
import { OLDEST_OPSET } from '../../src/io/formats/onnx/reader/read.ts'
import { ruleGroups } from '../../src/io/formats/onnx/reader/table.ts'
import { NEWEST_WRITTEN_OPSET, OLDEST_WRITTEN_OPSET, writers } from '../../src/io/formats/onnx/writer/write.ts'
import { operatorNames } from '../../src/io/formats/program/operators/table.ts'

const HEAD = `<!-- Written by scripts/docs/onnx-operators.ts (npm run docs); a test compares. -->

# ONNX operators

`

function readTables(): string {
  return Object.entries(ruleGroups)
    .map(([group, rules]) => {
      const rows = Object.entries(rules)
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([name, { since, limits }]) => {
          const forms = Object.keys(since).filter((v) => v !== '1')
          return `| \`${name}\` | ${forms.length > 0 ? forms.join(', ') : 'all'} | ${limits ?? ''} |`
        })
      return `### ${group}\n\n| operator | versions with a rule of their own | limits |\n| --- | --- | --- |\n${rows.join('\n')}\n`
    })
    .join('\n')
}

/** The page. */
export async function onnxOperatorsText(): Promise<string> {
  const count = Object.values(ruleGroups).reduce((sum, rules) => sum + Object.keys(rules).length, 0)
  const written = operatorNames.filter((name) => Object.hasOwn(writers, name))
  const missing = operatorNames.filter((name) => !Object.hasOwn(writers, name))
  const refused = Object.entries(refusedOperators).map(([name, why]) => `| \`${name}\` | ${why} |`)
  const text = `${HEAD}Files of operator sets from version ${OLDEST_OPSET} on are read: ${count} operators become operators of a program
(\`src/io/formats/program\`). A model that uses anything else is refused with a list of all of it.

What only shapes depend on is computed when a model is read; weights stay parameters, which can be trained.
Functions that a model defines stand in the place of their calls, and steps of loops are written out.

## Read

${readTables()}
### Refused, with a reason

| operator | why |
| --- | --- |
${refused.join('\n')}

## Written

Operator sets ${OLDEST_WRITTEN_OPSET} to ${NEWEST_WRITTEN_OPSET} are written, 17 where nothing is said. These operators of a program have a form in ONNX:

${written.map((name) => `\`${name}\``).join(', ')}.

These have none yet: a program with one of them is refused with a list of all of them.

${missing.map((name) => `\`${name}\``).join(', ')}.
`
  return format(text, { ...(await resolveConfig(import.meta.filename ?? '.')), parser: 'markdown' })
}
