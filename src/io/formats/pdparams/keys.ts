/** Names that Paddle's saved dictionaries reserve, as they stand in its files (the second with its spelling). */

/** Unique parameter name of each structured name: `{'fc.weight': 'linear_0.w_0'}`. */
export const NAME_TABLE = 'StructuredToParameterName@@'

/** How tensors that protocols 2 and 3 cannot hold in one piece were cut: `{key: {OriginShape, slices: [part keys]}}`. */
export const SLICE_TABLE = 'UnpackBigParamInfor@@'
