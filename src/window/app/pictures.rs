//! Pictures of the window: a frame is read back from the device, cut to what was asked for, and written or copied.
//!
//! A picture is taken in the frame after it was asked for, once no menu lies over what it shows. It is as large as the screen has pixels.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use egui::{Color32, ColorImage, Popup, Rect};

use crate::window::action::{Picture, PictureTo};

/// How long a frame may take to be read back. A window that is not in sight is not drawn at all.
const PATIENCE: Duration = Duration::from_secs(10);

/// A frame, and what of it is wanted.
struct Taken {
    frame: Arc<ColorImage>,
    /// In points.
    place: Rect,
    pixels_per_point: f32,
    of: Picture,
    to: PictureTo,
}

/// Pictures that were asked for.
pub(super) struct Pictures {
    wanted: Option<(Picture, PictureTo)>,
    /// When the device was asked for the frame that has not come yet.
    asked: Option<Instant>,
    outbox: Sender<Taken>,
    taken: Receiver<Taken>,
}

impl Default for Pictures {
    fn default() -> Self {
        let (outbox, taken) = channel();
        Self {
            wanted: None,
            asked: None,
            outbox,
            taken,
        }
    }
}

/// What became of a picture.
pub(super) enum Outcome {
    Taken {
        of: Picture,
        to: PictureTo,
        image: ColorImage,
    },
    /// And why.
    Failed(&'static str),
}

impl Pictures {
    /// Has a picture taken as soon as nothing lies over it.
    pub(super) fn want(&mut self, of: Picture, to: PictureTo) {
        self.wanted = Some((of, to));
    }

    /// Asks for the frame that was just drawn, if it is wanted. `place` says where something is in it.
    pub(super) fn ask(
        &mut self,
        context: &egui::Context,
        place: impl Fn(Picture) -> Option<Rect>,
    ) -> Option<Outcome> {
        let (of, to) = self.wanted?;
        if Popup::is_any_open(context) {
            context.request_repaint();
            return None;
        }
        self.wanted = None;
        let Some(place) = place(of) else {
            return Some(Outcome::Failed("It is not in sight."));
        };
        self.asked = Some(Instant::now());
        let outbox = self.outbox.clone();
        let pixels_per_point = context.pixels_per_point();
        let again = context.clone();
        context.request_screenshot(move |frame| {
            // The window may be gone by now.
            let _ = outbox.send(Taken {
                frame,
                place,
                pixels_per_point,
                of,
                to,
            });
            again.request_repaint();
        });
        context.request_repaint_after(PATIENCE);
        None
    }

    /// The next picture that has come, or has not come in time.
    pub(super) fn poll(&mut self) -> Option<Outcome> {
        if let Ok(taken) = self.taken.try_recv() {
            self.asked = None;
            let image = cut(&taken.frame, taken.place, taken.pixels_per_point);
            let (of, to) = (taken.of, taken.to);
            return Some(match image {
                Some(image) => Outcome::Taken { of, to, image },
                None => Outcome::Failed("There is nothing to be seen of it."),
            });
        }
        self.asked.take_if(|asked| asked.elapsed() > PATIENCE)?;
        Some(Outcome::Failed(
            "The window could not be read back from the device that draws it.",
        ))
    }
}

/// The name to suggest for a file.
pub(super) fn file_name(of: Picture) -> &'static str {
    match of {
        Picture::Window => "openelm.png",
        Picture::Conversation => "conversation.png",
        Picture::Timings => "timings.png",
    }
}

/// What of a frame lies in `place`; `None` if nothing does.
fn cut(frame: &ColorImage, place: Rect, pixels_per_point: f32) -> Option<ColorImage> {
    let [width, height] = frame.size;
    // Casts of floats saturate.
    let pixel = |points: f32, most: usize| ((points * pixels_per_point).round() as usize).min(most);
    let (left, right) = (pixel(place.left(), width), pixel(place.right(), width));
    let (top, bottom) = (pixel(place.top(), height), pixel(place.bottom(), height));
    let size = [right.checked_sub(left)?, bottom.checked_sub(top)?];
    (size[0] > 0 && size[1] > 0).then(|| frame.region_by_pixels([left, top], size))
}

/// An image as a file of eight bits a channel, opaque.
pub(super) fn png(image: &ColorImage) -> std::io::Result<Vec<u8>> {
    let [width, height] = image
        .size
        .map(|side| u32::try_from(side).unwrap_or(u32::MAX));
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let rgb = image.pixels.iter().flat_map(|color: &Color32| {
        let [r, g, b, _] = color.to_array();
        [r, g, b]
    });
    let rgb: Vec<u8> = rgb.collect();
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&rgb)?;
    writer.finish()?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use egui::{pos2, vec2};

    /// A frame in which every pixel has a colour of its own.
    fn frame() -> ColorImage {
        let colors = (0..12u8).map(|i| Color32::from_rgb(i, 100 + i, 200));
        ColorImage::new([4, 3], colors.collect())
    }

    #[test]
    fn a_part_is_cut_out_at_the_scale_of_the_screen() {
        let place = Rect::from_min_size(pos2(0.5, 0.5), vec2(1.0, 1.0));
        let part = cut(&frame(), place, 2.0).unwrap();
        assert_eq!(part.size, [2, 2]);
        let reds: Vec<u8> = part.pixels.iter().map(|color| color.r()).collect();
        assert_eq!(reds, [5, 6, 9, 10]);
    }

    #[test]
    fn what_lies_outside_is_left_out() {
        let everything = cut(&frame(), Rect::EVERYTHING, 1.0).unwrap();
        assert_eq!(everything, frame());
        let beside = Rect::from_min_size(pos2(9.0, 0.0), vec2(5.0, 5.0));
        assert_eq!(cut(&frame(), beside, 1.0), None);
        assert_eq!(cut(&frame(), Rect::NOTHING, 1.0), None);
        assert_eq!(cut(&frame(), Rect::NAN, 1.0), None);
    }

    #[test]
    fn a_file_says_what_the_image_says() {
        let file = png(&frame()).unwrap();
        let decoder = png::Decoder::new(std::io::Cursor::new(file));
        let mut reader = decoder.read_info().unwrap();
        let mut rgb = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut rgb).unwrap();
        assert_eq!((info.width, info.height), (4, 3));
        assert_eq!(rgb[..6], [0, 100, 200, 1, 101, 200]);
        assert_eq!(rgb.len(), 4 * 3 * 3);
    }
}
