// Activation functions, numbered as in `kernels::linear::Activation`.
const SILU = 0u;
const RELU = 1u;
const GELU_TANH = 2u;
const GELU = 3u;

// Abramowitz and Stegun 7.1.26: absolute error below 1.5e-7.
fn erf(x: f32) -> f32 {
    let t = 1.0 / (1.0 + 0.3275911 * abs(x));
    let p = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
    return sign(x) * (1.0 - p * exp(-x * x));
}

// tanh by its exponential, held to where it is 1 in f32 anyway: some drivers overflow beyond.
fn stable_tanh(x: f32) -> f32 {
    let e = exp(2.0 * clamp(x, -10.0, 10.0));
    return (e - 1.0) / (e + 1.0);
}

fn activate(x: f32) -> f32 {
    switch shape.activation {
        case RELU: {
            return max(x, 0.0);
        }
        case GELU_TANH: {
            return 0.5 * x * (1.0 + stable_tanh(0.7978845608 * (x + 0.044715 * x * x * x)));
        }
        case GELU: {
            return 0.5 * x * (1.0 + erf(x * 0.7071067812));
        }
        default: {
            return x / (1.0 + exp(-x));
        }
    }
}
