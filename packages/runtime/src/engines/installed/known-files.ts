/**
 * The native files of engine packages as their publishers made them: what of a service's own node_modules is loaded without
 * a lock. npm, onnxruntime-node 1.30.0 and 1.27.0; the CUDA providers of onnxruntime-gpu 1.30.0 (PyPI, CUDA 13) and
 * onnxruntime_gpu 1.27.0 (Maven, CUDA 12), which belong to the core of the same version only.
 */

/** By version, then by path within the package: SHA-256. */
export type KnownFiles = Readonly<Record<string, Readonly<Record<string, string>>>>

export const knownOnnxruntime: KnownFiles = {
  "1.30.0": {
    "bin/napi-v6/darwin/arm64/libonnxruntime.1.30.0.dylib":
      "685d2be5dba1309c89d3a5324b7fd06a5c42f1a61bfea32d14c4cc28d072121d",
    "bin/napi-v6/darwin/arm64/libonnxruntime.1.dylib":
      "685d2be5dba1309c89d3a5324b7fd06a5c42f1a61bfea32d14c4cc28d072121d",
    "bin/napi-v6/darwin/arm64/onnxruntime_binding.node":
      "a3f993357759b06ae2411f70af60f5e041d04521ea7f0d12cb7546e411a527dd",
    "bin/napi-v6/linux/arm64/libonnxruntime.so.1": "1f549d46250b005580b597f4164984aaf75b3bcb9f3aeb07c7f8a8fe60b23c76",
    "bin/napi-v6/linux/arm64/onnxruntime_binding.node":
      "afec78dc11d38dc81605b068cefe1fc73ffe77ca240c15468aa40786150beac8",
    "bin/napi-v6/linux/x64/libonnxruntime.so.1": "ffb75a925ba05e47b235bb66e3e3911714a80b328a9c9425539feb204aa32a23",
    "bin/napi-v6/linux/x64/libonnxruntime_providers_cuda.so":
      "9d7587acb137b31bf84e4d32dc444b969bb601d098b01395effcacfe4341e364",
    "bin/napi-v6/linux/x64/libonnxruntime_providers_shared.so":
      "086ec1d5388f64153d9c63470d126693db9a182c8ce236d3a1119068471b8a0d",
    "bin/napi-v6/linux/x64/libonnxruntime_providers_tensorrt.so":
      "4365c6412845f42d7de138055ad3dcff5d0fbca2d748e30e8a04aa3ab0643337",
    "bin/napi-v6/linux/x64/onnxruntime_binding.node":
      "ccdc60b981d93a490cf9513d3f583547252b6e285b72988a96a494f2f006c7b8",
    "bin/napi-v6/win32/arm64/DirectML.dll": "aaf72a9d55aa123e0708d957d30dd4fbeb7a2e335ec6257ed5ff4261a402b9ee",
    "bin/napi-v6/win32/arm64/dxcompiler.dll": "442a995492579e1048cf1f05a86ab00f476c46b7f9d0996e588884040a543bbe",
    "bin/napi-v6/win32/arm64/dxil.dll": "859b6d638c5ca3df39e9cab2a602cb0f63d0e63d750f84bb2a9ec9031319b73e",
    "bin/napi-v6/win32/arm64/onnxruntime.dll": "6c3a2abf5c6aca11c48a0d338a91af309f2266f25ce2e4084e6a87bbcb0fbfd0",
    "bin/napi-v6/win32/arm64/onnxruntime_binding.node":
      "d8179924f15c2d3c1c8a75c50adf1671ec28c7f1cb0da9fc28b17daa02c5ecf5",
    "bin/napi-v6/win32/x64/DirectML.dll": "234e8898778cdec88d3cb0539508273494082812c968699f3de665a018971625",
    "bin/napi-v6/win32/x64/dxcompiler.dll": "593d42df78c7f9cbd97c1374af107cfe20985759f98b77afc1448fe41ee3cc76",
    "bin/napi-v6/win32/x64/dxil.dll": "cf9a3981263f8ec30c9905d136eeaf4b4573209c602198671b958ec86905dea8",
    "bin/napi-v6/win32/x64/onnxruntime.dll": "508c362f5673483dd3a086379c392795b2e42d10d5e6f3f90ebd7ac21c97af67",
    "bin/napi-v6/win32/x64/onnxruntime_binding.node":
      "ddd428464069b84414d34ec1796c7c2a69c33a976e4b0390692629e394f92fa1",
  },
  "1.27.0": {
    "bin/napi-v6/darwin/arm64/libonnxruntime.1.27.0.dylib":
      "89f692a3a1a224e4ad0b796b0e7c0bd81113b0741bfe84211eceef14d05a9e59",
    "bin/napi-v6/darwin/arm64/libonnxruntime.1.dylib":
      "89f692a3a1a224e4ad0b796b0e7c0bd81113b0741bfe84211eceef14d05a9e59",
    "bin/napi-v6/darwin/arm64/onnxruntime_binding.node":
      "2b26ea21a9088b03eb2c37a6f18a18930747d5f7039af4a40e3dbcec436835a0",
    "bin/napi-v6/linux/arm64/libonnxruntime.so.1": "c36bc200e7e6c093b8abb0b34590fbdd8c52fd3fb5e33795b9523ffdde2fce0f",
    "bin/napi-v6/linux/arm64/onnxruntime_binding.node":
      "3827cba413ec3a104c1b2049b681c9875ea524fc3dcb6675d3537839b18fb263",
    "bin/napi-v6/linux/x64/libonnxruntime.so.1": "d8aff4aa8abee8fb2abb2f2f2459ffc94461e781e41b9f7c072829dd0d470221",
    "bin/napi-v6/linux/x64/libonnxruntime_providers_cuda.so":
      "bcd56b647d8df20dd6fbbf623bfba41d5bfe173e1a9c3975da4b384e5a2e086a",
    "bin/napi-v6/linux/x64/libonnxruntime_providers_shared.so":
      "c6a12593396095f5670160e284c35d1700b7708cf3037b7042e2a5200ccae772",
    "bin/napi-v6/linux/x64/libonnxruntime_providers_tensorrt.so":
      "7ebc8674eb2ff4ea73d83efd187e82ba8f21685e1f5cfabe52315fe756ea57e7",
    "bin/napi-v6/linux/x64/onnxruntime_binding.node":
      "0f52b3621eedeb415d946528e820259066fd38f2c3ad373b5fa46cc60de88ffc",
    "bin/napi-v6/win32/arm64/DirectML.dll": "759a2d3054d4ce583186bd6f0b5c36071492b3dfba8be456b69f1b17b313171c",
    "bin/napi-v6/win32/arm64/dxcompiler.dll": "af2c099ca8270ddcdf5d5aca248345db997c714c5112553a932a75a472c2ae9d",
    "bin/napi-v6/win32/arm64/dxil.dll": "87213188bf7bdcf0498684aaff8238666645c67e55e8c956d27d3a4da7453cbe",
    "bin/napi-v6/win32/arm64/onnxruntime.dll": "908ce63e73f375e90daabe24c52486b42392c19df3d63973a26f871cfeab5453",
    "bin/napi-v6/win32/arm64/onnxruntime_binding.node":
      "b2dc1c56e7b78ffc66dc261c15ba01b489845aed68f33d81c6950bf09afdf575",
    "bin/napi-v6/win32/x64/DirectML.dll": "86d9b418e982fa1effb6ea39cb916b04fe3896ccedc6982d73a5477459b56d81",
    "bin/napi-v6/win32/x64/dxcompiler.dll": "b2d807864ae4a7cdd4a8f09cc947206f60170c90f41fc248a9cdd800f4c6fbcd",
    "bin/napi-v6/win32/x64/dxil.dll": "5f307a712416ae5213f2b4469e25c4258191c8284513fa5d2bd828a14c5052ef",
    "bin/napi-v6/win32/x64/onnxruntime.dll": "273f9ef9cf755c6a0f342226a80448156c10ceb74db2ae8c8370dc98e75af0eb",
    "bin/napi-v6/win32/x64/onnxruntime_binding.node":
      "dd50eb632300170576fda3648f4fcf00fbd44afca6a70efa53c57f85b272faf2",
  },
}
