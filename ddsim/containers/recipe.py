"""What a server's container is made of, whether ``ddsim up`` makes it or Compose: docker-compose.yml has the same."""

# The last release that was verified to have Caffe, similarity search and the bundled ResNet-50.
IMAGE = "docker.jolibrain.com/deepdetect_cpu:v0.25.0"
GPU_IMAGE = "docker.jolibrain.com/deepdetect_gpu:v0.25.0"
NAME, VOLUME, MEMORY, PORT = "ddsim", "ddsim_models", "8g", 8080
MODELS = "/opt/models"
HEALTHCHECK = ["CMD", "curl", "--fail", "--silent", "--output", "/dev/null", "http://127.0.0.1:8080/info"]
# The reasons for this script stand in docker-compose.yml, which has the same.
START = r"""bundled=/opt/models/resnet_50/deploy.prototxt
derived=/opt/models/ddsim/definitions/resnet50.prototxt
if [ ! -r "$bundled" ]; then
  echo "ddsim: no $bundled in this image or volume, so $derived was not derived from it" >&2
elif ! { mkdir -p "${derived%/*}" &&
  sed -E 's#(^|[[:space:]{])name:[[:space:]]*"pool5"#\1name: "pool5/7x7_s1"#' "$bundled" >"$derived.new" &&
  mv -f "$derived.new" "$derived"; }; then
  echo "ddsim: $derived could not be written, so configurations that use it will not work" >&2
elif ! grep -q 'name: "pool5/7x7_s1"' "$derived"; then
  echo "ddsim: $bundled has no layer pool5, so $derived has no layer pool5/7x7_s1" >&2
fi
centred="${derived%.prototxt}-centre-power2.prototxt"
if grep -q 'name: "pool5/7x7_s1"' "$derived" 2>/dev/null && grep -q 'bottom:[[:space:]]*"res5c"' "$derived"; then
  {
    sed 's#name: "pool5/7x7_s1"#name: "pool5/7x7_s1/plain"#' "$derived"
    echo 'layer { name: "pool5/7x7_s1/power" type: "Power" bottom: "res5c" top: "pool5/7x7_s1/power"'
    echo '  power_param { power: 2 } }'
    echo 'layer { name: "pool5/7x7_s1/windows" type: "Pooling" bottom: "pool5/7x7_s1/power" top: "pool5/7x7_s1/windows"'
    echo '  pooling_param { pool: AVE kernel_h: 4 kernel_w: 4 stride: 1 } }'
    echo 'layer { name: "pool5/7x7_s1/centre" type: "Pooling" bottom: "pool5/7x7_s1/windows" top: "pool5/7x7_s1/centre"'
    echo '  pooling_param { pool: AVE kernel_h: 4 kernel_w: 4 stride: 1 } }'
    echo 'layer { name: "pool5/7x7_s1" type: "Power" bottom: "pool5/7x7_s1/centre" top: "pool5/7x7_s1/root"'
    echo '  power_param { power: 0.5 } }'
  } >"$centred.new" && mv -f "$centred.new" "$centred" ||
    echo "ddsim: $centred could not be written, so pooling: centre will not work" >&2
fi
exec /opt/deepdetect/start-dede.sh -host 0.0.0.0
"""
