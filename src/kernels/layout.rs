//! What Rust and WGSL must agree on: structs in uniform memory, and the bindings of a kernel.

/// Declares a uniform struct together with its field names and offsets, which a test compares with the WGSL.
macro_rules! uniform_struct {
    ($(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident: $ty:ty,)* }) => {
        $(#[$meta])*
        #[repr(C)]
        #[derive(Debug, Clone, Copy, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
        pub struct $name { $($(#[$field_meta])* pub $field: $ty,)* }

        impl $name {
            /// Name and byte offset of every field.
            #[cfg_attr(not(test), allow(dead_code, reason = "the test of the shaders reads it"))]
            pub const FIELDS: &'static [(&'static str, usize)] =
                &[$((stringify!($field), std::mem::offset_of!($name, $field)),)*];
        }
    };
}
pub(crate) use uniform_struct;

/// Declares the bindings of a kernel's group 0, in order, as a struct of named resources: whatever stands for one, a buffer by name in a
/// plan, or a live resource.
macro_rules! bindings {
    ($(#[$meta:meta])* $name:ident |$path:ident| { $($(#[$field_meta:meta])* $field:ident: $kind:expr,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone)]
        pub struct $name<R> { $($(#[$field_meta])* pub $field: R,)* }

        impl<R> $name<R> {
            /// What each binding is.
            pub fn kinds($path: crate::kernels::ComputePath) -> Vec<crate::gpu::BindingKind> {
                #[allow(unused_imports, reason = "not every kernel has each kind")]
                use crate::gpu::BindingKind::{Read, Uniform, UniformWindow, Write, WriteWindow};
                let _ = $path;
                vec![$($kind,)*]
            }

            /// The resources in the order of the bindings.
            pub fn into_list(self) -> Vec<R> {
                vec![$(self.$field,)*]
            }
        }
    };
}
pub(crate) use bindings;
