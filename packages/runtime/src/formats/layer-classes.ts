/**
 * What a topology may name: exactly the classes and activations that @tensorflow/tfjs-layers 4.22 registers (a test
 * compares). There is no code in the list and no way to add some: a `Lambda` or a custom layer is refused.
 */
export const containerClasses: readonly string[] = ["Functional", "Model", "Sequential"]

const layerClasses = `
  Activation Add AlphaDropout Average AveragePooling1D AveragePooling2D AveragePooling3D BatchNormalization
  Bidirectional CategoryEncoding CenterCrop Concatenate Conv1D Conv2D Conv2DTranspose Conv3D Conv3DTranspose ConvLSTM2D
  ConvLSTM2DCell Cropping2D Dense DepthwiseConv2D Dot Dropout ELU Embedding Flatten GRU GRUCell GaussianDropout
  GaussianNoise GlobalAveragePooling1D GlobalAveragePooling2D GlobalMaxPooling1D GlobalMaxPooling2D InputLayer LSTM
  LSTMCell LayerNormalization LeakyReLU Masking MaxPooling1D MaxPooling2D MaxPooling3D Maximum Minimum Multiply PReLU
  Permute RNN RandomWidth ReLU RepeatVector Rescaling Reshape Resizing SeparableConv2D SimpleRNN SimpleRNNCell Softmax
  SpatialDropout1D StackedRNNCells ThresholdedReLU TimeDistributed UpSampling2D ZeroPadding2D`

export const knownClasses: ReadonlySet<string> = new Set([...containerClasses, ...words(layerClasses)])

/**
 * As Keras spells them and as tfjs-layers does. (It registers gelu_new too, and then looks for geluNew when it reads a
 * topology.)
 */
export const knownActivations: ReadonlySet<string> = new Set(
  words(`elu gelu hardSigmoid hard_sigmoid linear logSoftmax log_softmax mish relu relu6 selu sigmoid softmax
    softplus softsign swish tanh`),
)

function words(text: string): string[] {
  return text.trim().split(/\s+/)
}
