//! Icons, drawn with lines on a grid of 16 by 16: no file to load, sharp at any size, in the colour of the text beside them.

use std::f32::consts::TAU;

use egui::{Color32, Painter, Pos2, Rect, Shape, Stroke, pos2};

/// Side of the grid that icons are drawn on.
const SIDE: f32 = 16.0;

/// What an icon shows. What it is for is said by the name of the button that it is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Icon {
    Add,
    Back,
    Bars,
    Braces,
    Branch,
    Chat,
    Check,
    Close,
    Copy,
    Delete,
    Download,
    Edit,
    Export,
    Find,
    Folder,
    Forward,
    Keyboard,
    Model,
    More,
    Pause,
    Play,
    Regenerate,
    Settings,
    Sidebar,
    Stop,
    Text,
    Tint,
    Up,
    Down,
}

/// A stroke of an icon.
enum Part {
    /// Points joined by lines.
    Line(&'static [(f32, f32)]),
    /// The same, back to the first point.
    Closed(&'static [(f32, f32)]),
    /// Filled.
    Solid(&'static [(f32, f32)]),
    /// Centre and radius.
    Circle(f32, f32, f32),
    Dot(f32, f32, f32),
    /// Centre, radius, and where it begins and ends, in turns from the right, clockwise.
    Arc(f32, f32, f32, f32, f32),
}

use Part::{Arc, Circle, Closed, Dot, Line, Solid};

impl Icon {
    fn parts(self) -> &'static [Part] {
        match self {
            Self::Add => &[
                Line(&[(8.0, 3.0), (8.0, 13.0)]),
                Line(&[(3.0, 8.0), (13.0, 8.0)]),
            ],
            Self::Check => &[Line(&[(3.0, 8.5), (6.5, 12.0), (13.0, 4.5)])],
            Self::Back => &[Line(&[(10.0, 3.5), (5.5, 8.0), (10.0, 12.5)])],
            Self::Forward => &[Line(&[(6.0, 3.5), (10.5, 8.0), (6.0, 12.5)])],
            Self::Up => &[Line(&[(3.5, 10.0), (8.0, 5.5), (12.5, 10.0)])],
            Self::Down => &[Line(&[(3.5, 6.0), (8.0, 10.5), (12.5, 6.0)])],
            // The layers of OpenELM, which grow.
            Self::Bars => &[
                Line(&[(2.5, 4.0), (6.0, 4.0)]),
                Line(&[(2.5, 8.0), (9.5, 8.0)]),
                Line(&[(2.5, 12.0), (13.5, 12.0)]),
            ],
            Self::Braces => &[
                Line(&[
                    (6.0, 2.5),
                    (4.5, 3.5),
                    (4.5, 6.5),
                    (3.0, 8.0),
                    (4.5, 9.5),
                    (4.5, 12.5),
                    (6.0, 13.5),
                ]),
                Line(&[
                    (10.0, 2.5),
                    (11.5, 3.5),
                    (11.5, 6.5),
                    (13.0, 8.0),
                    (11.5, 9.5),
                    (11.5, 12.5),
                    (10.0, 13.5),
                ]),
            ],
            // One becomes three.
            Self::Branch => &[
                Line(&[(2.5, 8.0), (13.5, 8.0)]),
                Line(&[(5.0, 8.0), (8.5, 3.5), (13.5, 3.5)]),
                Line(&[(5.0, 8.0), (8.5, 12.5), (13.5, 12.5)]),
            ],
            Self::Chat => &[Closed(&[
                (2.5, 3.5),
                (13.5, 3.5),
                (13.5, 10.5),
                (7.5, 10.5),
                (4.5, 13.5),
                (4.5, 10.5),
                (2.5, 10.5),
            ])],
            Self::Close => &[
                Line(&[(4.0, 4.0), (12.0, 12.0)]),
                Line(&[(12.0, 4.0), (4.0, 12.0)]),
            ],
            Self::Copy => &[
                Closed(&[(5.5, 5.5), (13.5, 5.5), (13.5, 13.5), (5.5, 13.5)]),
                Line(&[
                    (3.5, 10.5),
                    (2.5, 10.5),
                    (2.5, 2.5),
                    (10.5, 2.5),
                    (10.5, 3.5),
                ]),
            ],
            Self::Delete => &[
                Line(&[(2.5, 4.5), (13.5, 4.5)]),
                Line(&[(6.0, 4.5), (6.5, 2.5), (9.5, 2.5), (10.0, 4.5)]),
                Line(&[(4.0, 4.5), (4.5, 13.5), (11.5, 13.5), (12.0, 4.5)]),
                Line(&[(6.5, 7.0), (6.5, 11.0)]),
                Line(&[(9.5, 7.0), (9.5, 11.0)]),
            ],
            Self::Download => &[
                Line(&[(8.0, 2.5), (8.0, 10.5)]),
                Line(&[(4.5, 7.0), (8.0, 10.5), (11.5, 7.0)]),
                Line(&[(2.5, 11.5), (2.5, 13.5), (13.5, 13.5), (13.5, 11.5)]),
            ],
            Self::Edit => &[
                Closed(&[
                    (3.0, 13.0),
                    (3.5, 10.0),
                    (10.5, 3.0),
                    (13.0, 5.5),
                    (6.0, 12.5),
                ]),
                Line(&[(9.0, 4.5), (11.5, 7.0)]),
            ],
            Self::Export => &[
                Line(&[(8.0, 10.5), (8.0, 2.5)]),
                Line(&[(4.5, 6.0), (8.0, 2.5), (11.5, 6.0)]),
                Line(&[(2.5, 9.5), (2.5, 13.5), (13.5, 13.5), (13.5, 9.5)]),
            ],
            Self::Find => &[Circle(7.0, 7.0, 4.5), Line(&[(10.2, 10.2), (14.0, 14.0)])],
            Self::Folder => &[Closed(&[
                (2.0, 3.5),
                (6.5, 3.5),
                (8.0, 5.5),
                (14.0, 5.5),
                (14.0, 13.0),
                (2.0, 13.0),
            ])],
            Self::Keyboard => &[
                Closed(&[(1.5, 4.5), (14.5, 4.5), (14.5, 11.5), (1.5, 11.5)]),
                Dot(4.5, 7.0, 0.8),
                Dot(8.0, 7.0, 0.8),
                Dot(11.5, 7.0, 0.8),
                Line(&[(5.0, 9.5), (11.0, 9.5)]),
            ],
            Self::Model => &[
                Closed(&[
                    (8.0, 1.8),
                    (13.5, 5.0),
                    (13.5, 11.0),
                    (8.0, 14.2),
                    (2.5, 11.0),
                    (2.5, 5.0),
                ]),
                Line(&[(2.5, 5.0), (8.0, 8.0), (13.5, 5.0)]),
                Line(&[(8.0, 8.0), (8.0, 14.2)]),
            ],
            Self::More => &[Dot(3.5, 8.0, 1.2), Dot(8.0, 8.0, 1.2), Dot(12.5, 8.0, 1.2)],
            Self::Pause => &[
                Line(&[(5.5, 3.5), (5.5, 12.5)]),
                Line(&[(10.5, 3.5), (10.5, 12.5)]),
            ],
            Self::Play => &[Closed(&[(5.0, 3.0), (12.5, 8.0), (5.0, 13.0)])],
            Self::Regenerate => &[
                Arc(8.0, 8.0, 5.3, 0.02, 0.86),
                Line(&[(8.3, 4.9), (11.6, 4.2), (11.9, 1.2)]),
            ],
            Self::Settings => &[
                Line(&[(2.0, 4.5), (8.5, 4.5)]),
                Line(&[(12.5, 4.5), (14.0, 4.5)]),
                Circle(10.5, 4.5, 1.8),
                Line(&[(2.0, 11.5), (3.5, 11.5)]),
                Line(&[(7.5, 11.5), (14.0, 11.5)]),
                Circle(5.5, 11.5, 1.8),
            ],
            Self::Sidebar => &[
                Closed(&[(2.0, 3.0), (14.0, 3.0), (14.0, 13.0), (2.0, 13.0)]),
                Line(&[(6.5, 3.0), (6.5, 13.0)]),
            ],
            Self::Stop => &[Solid(&[(4.0, 4.0), (12.0, 4.0), (12.0, 12.0), (4.0, 12.0)])],
            Self::Text => &[
                Line(&[(3.0, 4.0), (13.0, 4.0)]),
                Line(&[(3.0, 8.0), (13.0, 8.0)]),
                Line(&[(3.0, 12.0), (9.0, 12.0)]),
            ],
            // A drop, half full.
            Self::Tint => &[
                Arc(8.0, 9.6, 4.1, -0.1, 0.6),
                Line(&[(4.7, 7.2), (8.0, 1.8), (11.3, 7.2)]),
                Solid(&[
                    (4.2, 10.0),
                    (11.8, 10.0),
                    (10.6, 12.6),
                    (8.0, 13.5),
                    (5.4, 12.6),
                ]),
            ],
        }
    }

    /// Draws the icon into the largest square in the middle of `rect`.
    pub fn paint(self, painter: &Painter, rect: Rect, color: Color32) {
        let scale = rect.width().min(rect.height()) / SIDE;
        let corner = rect.center() - egui::Vec2::splat(scale * SIDE / 2.0);
        let at = |(x, y): (f32, f32)| corner + scale * egui::vec2(x, y);
        let points = |points: &[(f32, f32)]| points.iter().map(|point| at(*point)).collect();
        let stroke = Stroke::new(1.4 * scale, color);
        for part in self.parts() {
            painter.add(match part {
                Line(line) => Shape::line(points(line), stroke),
                Closed(line) => Shape::closed_line(points(line), stroke),
                Solid(line) => Shape::convex_polygon(points(line), color, Stroke::NONE),
                Circle(x, y, radius) => Shape::circle_stroke(at((*x, *y)), radius * scale, stroke),
                Dot(x, y, radius) => Shape::circle_filled(at((*x, *y)), radius * scale, color),
                Arc(x, y, radius, begin, end) => {
                    Shape::line(arc(at((*x, *y)), radius * scale, *begin, *end), stroke)
                }
            });
        }
    }
}

fn arc(center: Pos2, radius: f32, begin: f32, end: f32) -> Vec<Pos2> {
    const STEPS: usize = 20;
    let turn = |i: usize| TAU * (begin + (end - begin) * i as f32 / STEPS as f32);
    let point = |angle: f32| {
        pos2(
            center.x + radius * angle.cos(),
            center.y + radius * angle.sin(),
        )
    };
    (0..=STEPS).map(|i| point(turn(i))).collect()
}
