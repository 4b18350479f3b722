/**
 * Errors that teach: every one is typed, says which call is wrong, shows what came and what was expected, and says what to do.
 * All extend LongzhouError, so that one `catch` can tell them from a program's own.
 */
export class LongzhouError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = new.target.name
  }
}

/** Shapes that do not fit the operation. */
export class ShapeError extends LongzhouError {}
/** A dtype that the operation does not take, or dtypes that do not promote (Paddle refuses int + float tensors). */
export class DTypeError extends LongzhouError {}
/** An argument outside its domain: a negative stride, an unknown mode, an axis out of range. */
export class ArgumentError extends LongzhouError {}
/** A setting of a configuration file that is unknown, missing, or not what it should be. */
export class ConfigError extends LongzhouError {}
/** An index that lies outside the axis it indexes. */
export class IndexOutOfRangeError extends LongzhouError {}
/** An unrealised tensor whose inputs were overwritten before it was read. */
export class StaleTensorError extends LongzhouError {}
/** `backward` through a graph that was released, or from a tensor without one. */
export class AutogradError extends LongzhouError {}
/** A function under `jit.toStatic` that cannot be recorded: it reads a value, is async, or changes what a replay cannot change. */
export class TraceError extends LongzhouError {}
/** A device that this machine or this build does not have. */
export class DeviceError extends LongzhouError {}
/** The system's compiler is missing, failed or hung. */
export class CompileError extends LongzhouError {}
/** More memory was asked for than there is. */
export class OutOfMemoryError extends LongzhouError {}
/** A file that is corrupt, truncated, foreign, or of another version. */
export class FormatError extends LongzhouError {}
/** A file that is whole, and holds what this version has no meaning for: operators, dtypes, a kind of file that is no model. */
export class UnsupportedError extends FormatError {}
/** A file that was written, and does not compute what the model does. */
export class ProofError extends FormatError {}
/** Reading or writing failed: disk full, no permission, vanished. */
export class StorageError extends LongzhouError {}
/** An optional package or program that is not installed. */
export class DependencyError extends LongzhouError {}
/** A DataLoader worker that died or threw. */
export class WorkerError extends LongzhouError {}
/** An invariant of the compiler itself is broken: please report it. */
export class InternalError extends LongzhouError {}
