# sh docker/trim.sh VENV: remove files that the service never imports from an environment, and compile the rest.
set -eu

venv=$1
packages=$(echo "$venv"/lib/python3.*/site-packages)

uninstall() {
    "$venv/bin/pip" uninstall --quiet --yes "$@"
}

# ONNX Runtime's tools to make and change models, and its C library; the Python module contains the library too.
rm -r "$packages/onnxruntime/quantization" "$packages/onnxruntime/tools" "$packages/onnxruntime/transformers"
rm -f "$packages"/onnxruntime/capi/libonnxruntime.so*

if [ -d "$packages/tensorflow" ]; then
    # Required only by unused parts of TensorFlow and rich: tools for developers and clusters, and colours.
    uninstall google-pasta grpcio libclang markdown-it-py mdurl pygments wheel

    # Headers for building operations, and two extensions that no network needs: StableHLO's tools and TPU operations.
    rm -r "$packages/tensorflow/include" "$packages/tensorflow/xla_aot_runtime_src"
    rm "$packages/tensorflow/compiler/mlir/stablehlo/stablehlo_extension.so" \
        "$packages/tensorflow/compiler/tf2xla/ops/_xla_ops.so"
else
    # Required only by ONNX Runtime's tools.
    uninstall flatbuffers packaging protobuf
fi
uninstall setuptools
uninstall pip

# NumPy's tools and headers for building extensions; some exist only in its build for Python 3.11.
rm -rf "$packages/numpy/distutils" "$packages/numpy/f2py" "$packages/numpy/_core/include"

# The libraries' own tests and their extensions, files for type checkers and linkers, and the script of the page /redoc,
# which the service does not have.
find "$packages" -type d -name tests -prune -exec rm -r {} +
find "$packages/numpy/_core" \( -name '_*_tests.*.so' -o -name '_simd.*.so' \) -delete
find "$packages" \( -name '*.pyi' -o -name '*.a' -o -name redoc.standalone.js \) -delete

# Debug symbols are a quarter of TensorFlow's library, and most of uvloop and httptools.
find "$packages" \( -path '*/tensorflow/*' -o -path '*/uvloop/*' -o -path '*/httptools/*' \) -name '*.so*' -type f \
    -exec strip --strip-unneeded {} +

"$venv/bin/python" -m compileall -q -j 0 "$packages"
