# sh docker/trim.sh VENV: take from an environment what the service never imports, strip TensorFlow, and compile the rest.
set -eu

venv=$1
packages=$(echo "$venv"/lib/python3.*/site-packages)

# Required by packages that are used, but by parts of them that are not: TensorFlow's tools for developers and clusters,
# and the colours of rich.
"$venv/bin/pip" uninstall --quiet --yes google-pasta grpcio libclang markdown-it-py mdurl pygments wheel setuptools
"$venv/bin/pip" uninstall --quiet --yes pip

# Headers to build operations with, and two extensions that no network needs: StableHLO's tools, and operations of TPUs.
rm -r "$packages/tensorflow/include" "$packages/tensorflow/xla_aot_runtime_src"
rm "$packages/tensorflow/compiler/mlir/stablehlo/stablehlo_extension.so" \
    "$packages/tensorflow/compiler/tf2xla/ops/_xla_ops.so"

# Tests of the libraries themselves.
find "$packages" -type d -name tests -prune -exec rm -r {} +

# A quarter of TensorFlow's library is names for a debugger.
find "$packages/tensorflow" "$packages/uvloop" -name '*.so*' -type f -exec strip --strip-unneeded {} +

"$venv/bin/python" -m compileall -q -j 0 "$packages"
