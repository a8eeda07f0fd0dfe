//! The facade: the trait behind a partitioner, and the macro that exports one.

use crate::message::{Context, Message, Records};

/// A partitioner with a configuration or with state. One value lives in each instance of the plugin; the broker keeps
/// several and may start anew at any time, so state is a cache and nothing more.
pub trait Partitioner: Sized + 'static {
    /// Called once, with the text of the topic's `sluice.plugin.config.<name>` (`{}` when it is not set).
    ///
    /// # Errors
    /// A text for whoever binds; the binding is refused then.
    fn new(config: &str) -> Result<Self, String>;

    /// A number below `partitions` for one record.
    fn partition(&mut self, ctx: &Context, message: &Message<'_>, partitions: u32) -> u32;

    /// The same for all records of a call, in order; to be written where the records of a batch matter to each other.
    fn partition_all(&mut self, ctx: &Context, records: Records<'_>, partitions: u32) -> Vec<u32> {
        records.map(|message| self.partition(ctx, &message, partitions)).collect()
    }
}

/// Exports a plugin: `partitioner!(function);` for a function `fn(&Context, &Message, u32) -> u32`, or
/// `partitioner!(struct Type);` for a type that implements [`Partitioner`]. Once a crate.
#[macro_export]
macro_rules! partitioner {
    (struct $type:ty) => {
        const _: () = {
            struct Exported;

            thread_local! {
                static PLUGIN: ::core::cell::RefCell<Option<$type>> = const { ::core::cell::RefCell::new(None) };
            }

            impl $crate::border::Guest for Exported {
                fn init(config: ::std::string::String) -> Result<(), ::std::string::String> {
                    let plugin = <$type as $crate::Partitioner>::new(&config)?;
                    PLUGIN.set(Some(plugin));
                    Ok(())
                }

                fn partition(
                    ctx: $crate::border::Context,
                    partitions: u32,
                    records: $crate::border::Batch,
                ) -> ::std::vec::Vec<u32> {
                    PLUGIN.with_borrow_mut(|plugin| {
                        let plugin = plugin.as_mut().expect("the host calls init before anything else");
                        $crate::border::partition(plugin, ctx, partitions, &records)
                    })
                }
            }

            #[cfg(target_arch = "wasm32")]
            $crate::border::export!(Exported with_types_in $crate::border);
        };
    };
    ($function:path) => {
        const _: () = {
            struct Function;

            impl $crate::Partitioner for Function {
                fn new(_config: &str) -> Result<Self, ::std::string::String> {
                    Ok(Function)
                }

                fn partition(
                    &mut self,
                    ctx: &$crate::Context,
                    message: &$crate::Message<'_>,
                    partitions: u32,
                ) -> u32 {
                    $function(ctx, message, partitions)
                }
            }

            $crate::partitioner!(struct Function);
        };
    };
}
