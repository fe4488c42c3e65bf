//! The kernel table: what each cost, how fast it moved bytes and computed, and what held it back.

use std::cmp::Reverse;
use std::fmt::Write;

use super::figures::{giga, share, swatch};
use crate::trace::colors::group_color;
use crate::trace::units::{bytes, duration};
use crate::trace::{KernelSum, Peaks, group};

pub fn table(text: &mut String, sums: &[KernelSum], peaks: Option<Peaks>) {
    let mut sums = sums.to_vec();
    let all: u64 = sums.iter().map(|kernel| kernel.sum.duration_ns).sum();
    sums.sort_by_key(|kernel| Reverse(kernel.sum.duration_ns));
    text.push_str(
        "<h3>Kernels</h3><div class=\"scroll\"><table class=\"kernels\"><thead><tr><th>kernel</th><th>calls</th><th>total</th><th>a call</th>\
         <th>share</th><th>bytes a call</th><th>GB/s</th><th>of peak</th><th>GFLOP/s</th><th>of peak</th><th>bound by</th></tr></thead><tbody>",
    );
    for KernelSum { kernel, sum } in &sums {
        let calls = sum.calls.max(1);
        // What the script sorts by.
        let time = |nanoseconds: f64| {
            format!(
                "<td data-sort=\"{nanoseconds:.0}\">{}</td>",
                duration(nanoseconds)
            )
        };
        let part = 100.0 * sum.duration_ns as f64 / all.max(1) as f64;
        let _ = writeln!(
            text,
            "<tr><th scope=\"row\">{}{kernel}</th><td>{}</td>{}{}<td>{part:.1} %</td><td data-sort=\"{}\">{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td class=\"word\">{}</td></tr>",
            swatch(group_color(group(kernel))),
            sum.calls,
            time(sum.duration_ns as f64),
            time(sum.duration_ns as f64 / calls as f64),
            sum.bytes() / calls,
            bytes(sum.bytes() / calls),
            giga(sum.bytes_per_s()),
            share(sum.bytes_per_s(), peaks.map(|peaks| peaks.bytes_per_s)),
            giga(sum.flops_per_s()),
            share(sum.flops_per_s(), peaks.map(|peaks| peaks.flops_per_s)),
            peaks.map_or("", |peaks| sum.bound_by(&peaks).name()),
        );
    }
    text.push_str(
        "</tbody></table></div><p class=\"note\">Memory or arithmetic: that alone, at the measured best, takes more than half of the time. Overhead: \
         neither does; starting up, waiting, unpacking weights.</p>",
    );
}
