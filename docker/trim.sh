# sh docker/trim.sh VENV: take from an environment what the service never imports, and compile the rest.
set -eu

venv=$1
packages=$(echo "$venv"/lib/python3.*/site-packages)

uninstall() {
    "$venv/bin/pip" uninstall --quiet --yes "$@"
}

# ONNX Runtime's tools to make and change models, and its library for C programs, which its Python module contains too.
rm -r "$packages/onnxruntime/quantization" "$packages/onnxruntime/tools" "$packages/onnxruntime/transformers"
rm -f "$packages"/onnxruntime/capi/libonnxruntime.so*

if [ -d "$packages/tensorflow" ]; then
    # Required by parts of TensorFlow and of rich that are not used: tools for developers and clusters, and colours.
    uninstall google-pasta grpcio libclang markdown-it-py mdurl pygments wheel

    # Headers to build operations with, and two extensions that no network needs: StableHLO's tools, and TPU operations.
    rm -r "$packages/tensorflow/include" "$packages/tensorflow/xla_aot_runtime_src"
    rm "$packages/tensorflow/compiler/mlir/stablehlo/stablehlo_extension.so" \
        "$packages/tensorflow/compiler/tf2xla/ops/_xla_ops.so"
else
    # Required by ONNX Runtime's tools only.
    uninstall flatbuffers packaging protobuf
fi
uninstall setuptools
uninstall pip

# NumPy's tools and headers to build extensions with, some of which only its build for Python 3.11 has.
rm -rf "$packages/numpy/distutils" "$packages/numpy/f2py" "$packages/numpy/_core/include"

# The libraries' own tests with the extensions that only these use, what only type checkers and linkers read, and the
# page /redoc, which the service does not have.
find "$packages" -type d -name tests -prune -exec rm -r {} +
find "$packages/numpy/_core" \( -name '_*_tests.*.so' -o -name '_simd.*.so' \) -delete
find "$packages" \( -name '*.pyi' -o -name '*.a' -o -name redoc.standalone.js \) -delete

# Names for a debugger are a quarter of TensorFlow's library, and most of uvloop and httptools.
find "$packages" \( -path '*/tensorflow/*' -o -path '*/uvloop/*' -o -path '*/httptools/*' \) -name '*.so*' -type f \
    -exec strip --strip-unneeded {} +

"$venv/bin/python" -m compileall -q -j 0 "$packages"
