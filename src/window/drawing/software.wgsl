// A triangle of egui's: its color times its texture, both in gamma space with alpha multiplied in, as the frame is. No branch: Mesa 22's llvmpipe computes
// both sides of each.

@group(0) @binding(0) var image: texture_2d<f32>;
@group(0) @binding(1) var filtering: sampler;

struct Corner {
    @builtin(position) position: vec4<f32>,
    @location(0) @interpolate(linear) uv: vec2<f32>,
    @location(1) @interpolate(linear) color: vec4<f32>,
}

@vertex
fn corner(
    @location(0) position: vec2<f32>,
    @location(1) uv: vec2<f32>,
    @location(2) color: vec4<f32>,
) -> Corner {
    return Corner(vec4<f32>(position, 0.0, 1.0), uv, color);
}

@fragment
fn pixel(corner: Corner) -> @location(0) vec4<f32> {
    return corner.color * textureSample(image, filtering, corner.uv);
}
