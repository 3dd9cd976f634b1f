//! BERT and its like: a few layers of attention over a text's tokens, and the mean of what comes out.
//!
//! Written out over `rten-gemm`'s matrix products, which pack a weight once for the processor at hand.
//! Texts of one call lie behind one another without padding: the products see them as one tall matrix,
//! and only attention knows where each begins. Runs on the rayon pool it is called in. Invariant: the
//! vector of a text does not depend on what else is in the call, but for rounding.

use std::path::Path;

use rten_gemm::{BiasVector, GemmExecutor, GemmInputA, GemmInputB, GemmOptions, PackedBMatrix};
use rten_simd::{SimdOp as _, SimdUnaryOp as _};
use rten_tensor::{Layout as _, NdTensorView};
use rten_vecmath::{Gelu, Normalize, NormalizeOptions, Softmax, Sum, SumSquareSub};
use serde::Deserialize;

use crate::tensors::Tensors;

/// Numbers of a model's description beyond which it is no sentence encoder.
const SIZE_LIMIT: usize = 1 << 20;

/// `config.json` of a model.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct EncoderConfig {
    model_type: String,
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    max_position_embeddings: usize,
    type_vocab_size: usize,
    vocab_size: usize,
    layer_norm_eps: f32,
    hidden_act: String,
}

impl EncoderConfig {
    /// Numbers of a vector.
    pub(crate) fn dimensions(&self) -> usize {
        self.hidden_size
    }

    /// Tokens of the longest text, marks included.
    pub(crate) fn positions(&self) -> usize {
        self.max_position_embeddings
    }

    /// # Errors
    /// What about it is not served here.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.model_type != "bert" {
            return Err(format!(
                "model_type is `{}`, expected `bert`",
                self.model_type
            ));
        }
        if self.hidden_act != "gelu" {
            return Err(format!(
                "hidden_act is `{}`, expected `gelu`",
                self.hidden_act
            ));
        }
        let sizes = [
            self.hidden_size,
            self.num_hidden_layers,
            self.num_attention_heads,
            self.intermediate_size,
            self.max_position_embeddings,
            self.type_vocab_size,
            self.vocab_size,
        ];
        if sizes.iter().any(|size| !(1..=SIZE_LIMIT).contains(size)) {
            return Err(format!("its sizes must be from 1 to {SIZE_LIMIT}"));
        }
        if !self.hidden_size.is_multiple_of(self.num_attention_heads) {
            return Err("hidden_size is no multiple of num_attention_heads".to_owned());
        }
        Ok(())
    }
}

/// How a text's vector is made of its tokens'.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pooling {
    /// Their mean.
    Mean,
    /// The first one's.
    First,
}

/// A loaded model.
pub(crate) struct Encoder {
    gemm: GemmExecutor,
    words: Vec<f32>,
    positions: Vec<f32>,
    opening: Norm,
    layers: Vec<Layer>,
    width: usize,
    heads: usize,
    epsilon: f32,
    pooling: Pooling,
}

struct Layer {
    /// Queries, keys and values side by side.
    attention: Linear,
    attention_out: Linear,
    attention_norm: Norm,
    up: Linear,
    down: Linear,
    norm: Norm,
}

struct Linear {
    weights: PackedBMatrix<f32>,
    bias: Vec<f32>,
}

struct Norm {
    scale: Vec<f32>,
    bias: Vec<f32>,
}

impl Encoder {
    /// Reads the weights; about a third of a second for 90 MB.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub(crate) fn load(
        path: &Path,
        config: &EncoderConfig,
        pooling: Pooling,
    ) -> Result<Self, String> {
        config.check()?;
        let mut loader = Loader::open(path)?;
        let width = config.hidden_size;
        let words = loader.get(
            "embeddings.word_embeddings.weight",
            &[config.vocab_size, width],
        )?;
        let mut positions = loader.get(
            "embeddings.position_embeddings.weight",
            &[config.max_position_embeddings, width],
        )?;
        // A sentence is all of one type, the first.
        let types = loader.get(
            "embeddings.token_type_embeddings.weight",
            &[config.type_vocab_size, width],
        )?;
        for row in positions.chunks_mut(width) {
            add(row, &types);
        }
        let opening = loader.norm("embeddings.LayerNorm", width)?;
        let layers = (0..config.num_hidden_layers)
            .map(|layer| loader.layer(&format!("encoder.layer.{layer}"), config))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            gemm: loader.gemm,
            words,
            positions,
            opening,
            layers,
            width,
            heads: config.num_attention_heads,
            epsilon: config.layer_norm_eps,
            pooling,
        })
    }

    /// The vectors of texts, given as the ids of their tokens.
    ///
    /// # Errors
    /// A token that the model does not have, or more of them than it has places for.
    pub(crate) fn encode(&self, texts: &[&[u32]]) -> Result<Vec<Vec<f32>>, String> {
        let mut hidden = self.embed(texts)?;
        self.normalize(&mut hidden, &self.opening);
        let mut joined = Vec::new();
        let mut context = vec![0.0; hidden.len()];
        let mut wide = Vec::new();
        for layer in &self.layers {
            self.multiply(&hidden, &layer.attention, &mut joined)?;
            self.attend(texts, &joined, &mut context)?;
            self.add_product(&context, &layer.attention_out, &mut hidden)?;
            self.normalize(&mut hidden, &layer.attention_norm);
            self.multiply(&hidden, &layer.up, &mut wide)?;
            Gelu {}.map_mut(&mut wide);
            self.add_product(&wide, &layer.down, &mut hidden)?;
            self.normalize(&mut hidden, &layer.norm);
        }
        Ok(self.pool(texts, &hidden))
    }

    fn embed(&self, texts: &[&[u32]]) -> Result<Vec<f32>, String> {
        let tokens: usize = texts.iter().map(|text| text.len()).sum();
        let mut hidden = Vec::with_capacity(tokens * self.width);
        for text in texts {
            for (place, id) in text.iter().enumerate() {
                let word = row(&self.words, *id as usize, self.width)
                    .ok_or_else(|| format!("token {id} is none of the model's"))?;
                let position = row(&self.positions, place, self.width)
                    .ok_or_else(|| format!("a text has more than {place} tokens"))?;
                hidden.extend(word.iter().zip(position).map(|(word, place)| word + place));
            }
        }
        Ok(hidden)
    }

    fn normalize(&self, hidden: &mut [f32], norm: &Norm) {
        #[expect(clippy::cast_precision_loss, reason = "a width is at most a million")]
        let width = self.width as f32;
        for row in hidden.chunks_mut(self.width) {
            let mean = Sum::new(row).dispatch() / width;
            let variance = SumSquareSub::new(row, mean).dispatch() / width;
            let options = NormalizeOptions {
                pre_scale_bias: mean,
                scale: (variance + self.epsilon).sqrt().recip(),
                element_scale: Some(&norm.scale),
                bias: 0.0,
                element_bias: Some(&norm.bias),
            };
            Normalize::new_mut(row, options).dispatch();
        }
    }

    /// `out = input · weights + bias`
    fn multiply(&self, input: &[f32], linear: &Linear, out: &mut Vec<f32>) -> Result<(), String> {
        let rows = input.len() / linear.weights.rows();
        out.resize(rows * linear.bias.len(), 0.0);
        self.product(input, linear, out, 0.0)
    }

    /// `out = out + input · weights + bias`
    fn add_product(&self, input: &[f32], linear: &Linear, out: &mut [f32]) -> Result<(), String> {
        self.product(input, linear, out, 1.0)
    }

    fn product(
        &self,
        input: &[f32],
        linear: &Linear,
        out: &mut [f32],
        beta: f32,
    ) -> Result<(), String> {
        let depth = linear.weights.rows();
        let input = NdTensorView::from_data([input.len() / depth, depth], input);
        let options = GemmOptions {
            beta,
            bias: Some(BiasVector::Row(&linear.bias)),
            ..GemmOptions::default()
        };
        self.gemm
            .gemm(
                out,
                GemmInputA::Unpacked(input),
                GemmInputB::Packed(&linear.weights),
                options,
            )
            .map_err(|error| error.to_string())
    }

    /// Each token's mixture of the values of its own text's tokens.
    fn attend(&self, texts: &[&[u32]], joined: &[f32], context: &mut [f32]) -> Result<(), String> {
        let width = self.width;
        let head_width = width / self.heads;
        let (mut scores, mut mixed) = (Vec::new(), Vec::new());
        let (mut joined, mut context) = (joined, context);
        for text in texts {
            let tokens = text.len();
            let (own, rest) = joined.split_at(tokens * 3 * width);
            let (out, later) = context.split_at_mut(tokens * width);
            (joined, context) = (rest, later);
            scores.resize(tokens * tokens, 0.0);
            mixed.resize(tokens * head_width, 0.0);
            let own = NdTensorView::from_data([tokens, 3 * width], own);
            for head in 0..self.heads {
                let part = |which: usize| {
                    let start = which * width + head * head_width;
                    own.slice((.., start..start + head_width))
                };
                self.mix(part(0), part(1), part(2), &mut scores, &mut mixed)?;
                let start = head * head_width;
                let rows = out.chunks_mut(width).zip(mixed.chunks(head_width));
                for (row, mixed) in rows {
                    if let Some(place) = row.get_mut(start..start + head_width) {
                        place.copy_from_slice(mixed);
                    }
                }
            }
        }
        Ok(())
    }

    fn mix(
        &self,
        queries: NdTensorView<f32, 2>,
        keys: NdTensorView<f32, 2>,
        values: NdTensorView<f32, 2>,
        scores: &mut [f32],
        mixed: &mut [f32],
    ) -> Result<(), String> {
        let [tokens, head_width] = queries.shape();
        #[expect(clippy::cast_precision_loss, reason = "a width is at most a million")]
        let alpha = (head_width as f32).sqrt().recip();
        let options = GemmOptions {
            alpha,
            ..GemmOptions::default()
        };
        self.gemm
            .gemm(
                scores,
                GemmInputA::Unpacked(queries),
                GemmInputB::Unpacked(keys.transposed()),
                options,
            )
            .map_err(|error| error.to_string())?;
        for row in scores.chunks_mut(tokens) {
            Softmax::new_mut(row).dispatch();
        }
        let scores = NdTensorView::from_data([tokens, tokens], &*scores);
        self.gemm
            .gemm(
                mixed,
                GemmInputA::Unpacked(scores),
                GemmInputB::Unpacked(values),
                GemmOptions::default(),
            )
            .map_err(|error| error.to_string())
    }

    fn pool(&self, texts: &[&[u32]], hidden: &[f32]) -> Vec<Vec<f32>> {
        let mut rest = hidden;
        let pooled = |text: &&[u32]| {
            let (own, later) = rest.split_at(text.len() * self.width);
            rest = later;
            let mut vector = vec![0.0; self.width];
            let rows = match self.pooling {
                Pooling::Mean => text.len(),
                Pooling::First => 1,
            };
            for row in own.chunks(self.width).take(rows) {
                add(&mut vector, row);
            }
            vector
        };
        texts.iter().map(pooled).collect()
    }
}

fn row(matrix: &[f32], index: usize, width: usize) -> Option<&[f32]> {
    let start = index.checked_mul(width)?;
    matrix.get(start..start.checked_add(width)?)
}

fn add(sum: &mut [f32], other: &[f32]) {
    for (sum, other) in sum.iter_mut().zip(other) {
        *sum += other;
    }
}

struct Loader {
    tensors: Tensors,
    gemm: GemmExecutor,
    /// What stands before all names in files of some origins.
    prefix: &'static str,
}

impl Loader {
    fn open(path: &Path) -> Result<Self, String> {
        let tensors = Tensors::open(path)?;
        let prefixed = tensors.names().iter().any(|name| name.starts_with("bert."));
        Ok(Self {
            tensors,
            gemm: GemmExecutor::default(),
            prefix: if prefixed { "bert." } else { "" },
        })
    }

    fn get(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, String> {
        self.tensors
            .shaped(&format!("{}{name}", self.prefix), shape)
    }

    fn norm(&mut self, name: &str, width: usize) -> Result<Norm, String> {
        Ok(Norm {
            scale: self.get(&format!("{name}.weight"), &[width])?,
            bias: self.get(&format!("{name}.bias"), &[width])?,
        })
    }

    /// Several layers that read the same, side by side.
    fn linear(&mut self, names: &[String], from: usize, to: usize) -> Result<Linear, String> {
        let (mut weights, mut bias) = (Vec::new(), Vec::new());
        for name in names {
            weights.extend(self.get(&format!("{name}.weight"), &[to, from])?);
            bias.extend(self.get(&format!("{name}.bias"), &[to])?);
        }
        let view = NdTensorView::from_data([bias.len(), from], weights.as_slice());
        Ok(Linear {
            weights: self.gemm.prepack_b(view.transposed()),
            bias,
        })
    }

    fn layer(&mut self, name: &str, config: &EncoderConfig) -> Result<Layer, String> {
        let (width, wide) = (config.hidden_size, config.intermediate_size);
        let attention =
            ["query", "key", "value"].map(|part| format!("{name}.attention.self.{part}"));
        Ok(Layer {
            attention: self.linear(&attention, width, width)?,
            attention_out: self.linear(
                &[format!("{name}.attention.output.dense")],
                width,
                width,
            )?,
            attention_norm: self.norm(&format!("{name}.attention.output.LayerNorm"), width)?,
            up: self.linear(&[format!("{name}.intermediate.dense")], width, wide)?,
            down: self.linear(&[format!("{name}.output.dense")], wide, width)?,
            norm: self.norm(&format!("{name}.output.LayerNorm"), width)?,
        })
    }
}
