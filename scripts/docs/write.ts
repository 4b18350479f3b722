/** Writes the generated pages of docs/. Tests compare each with what its script gives. */
import { writeFileSync } from 'node:fs'
import { apiMapText } from './api-map.ts'
import { architecture } from './architecture.ts'
import { onnxOperatorsText } from './onnx-operators.ts'

const pages = { 'api-map': apiMapText, architecture, 'onnx-operators': onnxOperatorsText }

for (const [name, text] of Object.entries(pages))
  writeFileSync(new URL(`../../docs/${name}.md`, import.meta.url), await text())
