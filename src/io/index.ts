/** `paddle.io` and the file formats: datasets, samplers, DataLoader, checkpoints, arrays and images on disk. */
export { BatchSampler, DistributedBatchSampler } from './batch-sampler.ts'
export type { BatchSamplerOptions, DistributedBatchSamplerOptions } from './batch-sampler.ts'
export { loadCheckpoint, saveCheckpoint } from './checkpoint.ts'
export type { Checkpoint } from './checkpoint.ts'
export { latestCheckpoint, loadLatest, saveStep } from './checkpoint-steps.ts'
export type { StepCheckpoint, StepOptions } from './checkpoint-steps.ts'
export { defaultCollate, defaultConvert } from './collate.ts'
export { DataLoader } from './dataloader.ts'
export type { DataLoaderOptions, DataLoaderState, SkippedReport } from './dataloader.ts'
export {
  ChainDataset,
  ComposeDataset,
  ConcatDataset,
  Dataset,
  IterableDataset,
  randomSplit,
  Subset,
  TensorDataset,
} from './dataset.ts'
export { readNpy, readNpz, readSafetensors, writeNpy, writeNpz, writeSafetensors } from './files.ts'
export { RefusedPickleError } from './formats/pickle/errors.ts'
export { setDefaultPermutationGenerator } from './generator.ts'
export type { PermutationGenerator } from './generator.ts'
export { decodeImage, decodeImages, encodeJpeg, encodePng } from './image.ts'
export type { DecodedImages, DecodeManyOptions, DecodeOptions, JpegOptions, NamedImage, SkippedImage } from './image.ts'
export { parseNpy, serializeNpy } from './npy.ts'
export type { NpyReadOptions } from './npy.ts'
export { parseNpz, serializeNpz } from './npz.ts'
export type { NpzReadOptions, NpzWriteOptions } from './npz.ts'
export { workerDataset, workerFunction } from './remote.ts'
export type { ModuleExport, WorkerSource } from './remote.ts'
export { parseSafetensors, serializeSafetensors } from './safetensors.ts'
export type { Safetensors } from './safetensors.ts'
export { renameOptimizerState } from './rename-state.ts'
export { load, save, type LoadOptions, type SaveOptions } from './save.ts'
export { RandomSampler, Sampler, SequenceSampler, SubsetRandomSampler, WeightedRandomSampler } from './sampler.ts'
export type { RandomSamplerOptions, Resumable, SamplerState, WeightedRandomSamplerOptions } from './sampler.ts'
export type { StateValue } from './state-json.ts'
export { setTensorFactory } from './tensor-bridge.ts'
export type { ToHost, ToTensor } from './tensor-bridge.ts'
export { loadTrainingState, saveTrainingState } from './training-state.ts'
export type { Stateful, StatefulModel, TrainingParts, TrainingProgress } from './training-state.ts'
export { currentRandom, getWorkerInfo } from './worker-info.ts'
export type { WorkerInfo } from './worker-info.ts'
export { DataLoaderError } from './worker-pool.ts'
