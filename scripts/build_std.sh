# To be read by other scripts: `build_std COMMAND TARGET FOLDER ARGUMENTS...` runs cargo for a target that this machine may have no standard
# library for. Debian's packages rustc-web, cargo-web and rust-web-src build it from source (an unstable option of cargo, which
# RUSTC_BOOTSTRAP lets that release have).
build_std() {
    command=$1 target=$2 CARGO_TARGET_DIR=$3
    shift 3
    export CARGO_TARGET_DIR
    if rustup target list --installed 2>/dev/null | grep -qx "$target"; then
        cargo "$command" --target "$target" "$@"
        return
    fi
    if [ ! -e /usr/lib/rustlib/src/rust/library/std ] || [ ! -x /usr/bin/cargo ]; then
        echo "build_std: $target is not here: rustup target add $target, or apt-get install rustc-web cargo-web rust-web-src" >&2
        exit 1
    fi
    RUSTC=/usr/bin/rustc RUSTDOC=/usr/bin/rustdoc RUSTC_BOOTSTRAP=1 \
        /usr/bin/cargo "$command" -Zbuild-std=std,panic_unwind --target "$target" "$@"
}
