// Keys and values in f16: a block of eight is one 16-byte unit.
#import <half>

fn write_key(block: u32, x: Block) {
    store_key(block, vec4<u32>(pack_halves(x.lo), pack_halves(x.hi)));
}

fn write_value(block: u32, x: Block) {
    store_value(block, vec4<u32>(pack_halves(x.lo), pack_halves(x.hi)));
}
