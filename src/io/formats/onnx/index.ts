/** ONNX files, read as programs and written from them: `readOnnxModel(path)`, `writeOnnxModel(program, path, options)`. */
export { parseOnnx } from './decode.ts'
export { serializeOnnx } from './encode.ts'
export { dataFilesOf, readOnnxModel, writeOnnxModel, type OnnxFileOptions } from './files.ts'
export { programOfOnnx } from './reader/read.ts'
export { hasOnnxRuntime, openOnnxRuntime, type OnnxRuntimeOptions, type OnnxRuntimeSession } from './runtime.ts'
export { onnxOfProgram, type OnnxWriteOptions } from './writer/write.ts'
