//! The route lists by name: what a service must handle, and all its routes.

pub use crate::generated::bedrock::{BedrockService, routes as bedrock_routes};
pub use crate::generated::control::{ControlService, routes as control_routes};
pub use crate::generated::converse::{ConverseService, routes as converse_routes};
pub use crate::generated::lambda::{LambdaService, routes as lambda_routes};
pub use crate::generated::runtime::{RuntimeService, routes as runtime_routes};
