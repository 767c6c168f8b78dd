// What torch computes, in the same order: distortion, localization network, grid, sampler,
// classifier. An image is {data, shape: [channels, height, width]}, a series has one row; points are (x, y), normalised
// to -1 … 1, x to the right and y down; a grid is all its x, then all its y.
const engine = (() => {
  function bytes(base64) {
    return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  }

  function floats(base64) {
    return new Float32Array(bytes(base64).buffer);
  }

  // Of `length` points between the outermost pixels' centres, which are at -edge and edge.
  function axis(length, alignCorners) {
    const edge = alignCorners ? 1 : 1 - 1 / length;
    return Float64Array.from({ length }, (_, i) =>
      length > 1 ? -edge + (2 * edge * i) / (length - 1) : 0,
    );
  }

  function matrixGrid(rows, [height, width], alignCorners) {
    const x = axis(width, alignCorners),
      y = axis(height, alignCorners);
    const count = height * width,
      grid = new Float64Array(2 * count);
    for (let i = 0; i < height; i++) {
      for (let j = 0; j < width; j++) {
        const [u, v, depth] = rows.map((row) => row[0] * x[j] + row[1] * y[i] + row[2]);
        const at = i * width + j;
        grid[at] = u / Math.max(depth, 1e-3); // on the horizon: far outside
        grid[count + at] = v / Math.max(depth, 1e-3);
      }
    }
    return grid;
  }

  function linearGrid(basis, theta) {
    const length = basis.length / (theta.length + 1);
    const grid = Float64Array.from(basis.subarray(0, length));
    theta.forEach((value, k) => {
      const from = (k + 1) * length;
      for (let i = 0; i < length; i++) grid[i] += value * basis[from + i];
    });
    return grid;
  }

  // Bilinear; outside lies 0, with "border" the nearest pixel, or with "black" a channel's own value.
  function sample(image, grid, [height, width], padding, alignCorners, black = []) {
    const [channels, rows, columns] = image.shape;
    const count = height * width,
      out = new Float32Array(channels * count);
    const place = (value, length) => {
      const at = alignCorners ? ((value + 1) / 2) * (length - 1) : ((value + 1) * length - 1) / 2;
      return padding === "border" ? Math.min(Math.max(at, 0), length - 1) : at;
    };
    for (let i = 0; i < count; i++) {
      const x = place(grid[i], columns),
        y = place(grid[count + i], rows);
      const left = Math.floor(x),
        top = Math.floor(y);
      for (const [row, downward] of [
        [top, 1 - (y - top)],
        [top + 1, y - top],
      ]) {
        for (const [column, rightward] of [
          [left, 1 - (x - left)],
          [left + 1, x - left],
        ]) {
          const inside = row >= 0 && row < rows && column >= 0 && column < columns;
          if (!inside && !black.length) continue;
          for (let c = 0; c < channels; c++) {
            const value = inside ? image.data[(c * rows + row) * columns + column] : black[c];
            out[c * count + i] += downward * rightward * value;
          }
        }
      }
    }
    return { data: out, shape: [channels, height, width] };
  }

  // Destination to source of content that is turned (degrees, counter-clockwise), scaled, then
  // shifted (fractions of the width): rows of three, in units of half a width and half a height.
  function similarity({ angle, shift, scale }, aspect) {
    const cos = Math.cos((angle * Math.PI) / 180) / scale;
    const sin = Math.sin((angle * Math.PI) / 180) / scale;
    const x = 2 * shift[0],
      y = 2 * shift[1];
    return [
      [cos, -sin / aspect, sin * y - cos * x],
      [sin * aspect, cos, (-sin * x - cos * y) * aspect],
      [0, 0, 1],
    ];
  }

  // Up to the edge of its outermost pixels an image reads as its border, beyond it as 0.
  function distort(image, how) {
    const [channels, height, width] = image.shape;
    const grid = matrixGrid(similarity(how, width / height), [height, width], false);
    const out = sample(image, grid, [height, width], "border", false);
    const count = height * width;
    for (let i = 0; i < count; i++) {
      if (Math.max(Math.abs(grid[i]), Math.abs(grid[count + i])) < 1) continue;
      for (let c = 0; c < channels; c++) out.data[c * count + i] = 0;
    }
    return out;
  }

  // Series (one row) whose course runs `tempo` times as fast about its middle, `later` steps later.
  function distortTime(series, { tempo, later }) {
    const steps = series.shape[2],
      centre = (steps - 1) / 2,
      grid = new Float64Array(2 * steps);
    for (let t = 0; t < steps; t++) grid[t] = (tempo * (t - centre - later)) / centre;
    return sample(series, grid, [1, steps], "border", true);
  }

  // Pixels of 0 … 255 to the network's.
  function normalise(image, mean, std) {
    const count = image.shape[1] * image.shape[2];
    const data = image.data.map((value, i) => {
      const c = mean.length > 1 ? Math.floor(i / count) : 0;
      return value / (255 * std[c]) - mean[c] / std[c];
    });
    return { data, shape: image.shape };
  }

  // Objects on channels of their own, or side by side.
  function layOut(images, size) {
    const [channels, height, width] = images[0].shape;
    if (height === size[0] && width === size[1]) {
      const data = new Float32Array(images.length * images[0].data.length);
      images.forEach((image, k) => data.set(image.data, k * image.data.length));
      return { data, shape: [images.length * channels, height, width] };
    }
    const total = images.length * width;
    const data = new Float32Array(channels * height * total);
    images.forEach((image, k) => {
      for (let row = 0; row < channels * height; row++) {
        data.set(image.data.subarray(row * width, (row + 1) * width), row * total + k * width);
      }
    });
    return { data, shape: [channels, height, total] };
  }

  // What batch norm makes of a channel is one line: its slope and where it starts.
  function lineOf({ norm }, weights, channel) {
    if (!norm) return [1, 0];
    const [weight, bias, mean, variance] = ["weight", "bias", "running_mean", "running_var"].map(
      (name) => weights[norm[name] + channel],
    );
    const slope = weight / Math.sqrt(variance + norm.eps);
    return [slope, bias - slope * mean];
  }

  function convPoolRelu(image, layer, weights) {
    const [channels, height, width] = image.shape;
    const isSeries = layer.kernel.length === 1,
      pooled = isSeries ? 1 : 2;
    const [down, across] = isSeries ? [1, ...layer.kernel] : layer.kernel;
    const rows = Math.floor((height - down + 1) / pooled),
      columns = (width - across + 1) >> 1;
    const out = new Float32Array(layer.out * rows * columns);
    const plane = new Float64Array(pooled * rows * 2 * columns);
    for (let o = 0; o < layer.out; o++) {
      const [slope, start] = lineOf(layer, weights, o);
      plane.fill(slope * weights[layer.bias + o] + start);
      let at = layer.weight + o * channels * down * across;
      for (let c = 0; c < channels; c++) {
        for (let dy = 0; dy < down; dy++) {
          for (let dx = 0; dx < across; dx++) {
            const weight = slope * weights[at++];
            for (let y = 0; y < pooled * rows; y++) {
              const from = (c * height + y + dy) * width + dx,
                to = y * 2 * columns;
              for (let x = 0; x < 2 * columns; x++) plane[to + x] += weight * image.data[from + x];
            }
          }
        }
      }
      for (let y = 0; y < rows; y++) {
        for (let x = 0; x < columns; x++) {
          const i = pooled * y * 2 * columns + 2 * x,
            j = i + (pooled - 1) * 2 * columns;
          const most = Math.max(plane[i], plane[i + 1], plane[j], plane[j + 1]);
          out[(o * rows + y) * columns + x] = Math.max(most, 0);
        }
      }
    }
    return { data: out, shape: [layer.out, rows, columns] };
  }

  function linear(input, layer, weights) {
    return Float32Array.from({ length: layer.out }, (_, o) => {
      let sum = weights[layer.bias + o];
      const from = layer.weight + o * layer.in;
      for (let i = 0; i < layer.in; i++) sum += weights[from + i] * input[i];
      return sum;
    });
  }

  // The layers' answer to several images: blocks one by one, then linear layers on all together.
  function through(layers, images, weights) {
    const blocks = layers.filter((layer) => layer.kernel.length);
    const rest = layers.filter((layer) => !layer.kernel.length);
    const features = images.map(
      (image) => blocks.reduce((before, layer) => convPoolRelu(before, layer, weights), image).data,
    );
    const joined = new Float32Array(features.reduce((sum, each) => sum + each.length, 0));
    features.forEach((each, k) => joined.set(each, k * each.length));
    return rest.reduce((before, layer, k) => {
      const after = linear(before, layer, weights);
      return k < rest.length - 1 ? after.map((value) => Math.max(value, 0)) : after;
    }, joined);
  }

  // No entry further from the centre than the bound.
  function keptNear(theta, [centre, bound]) {
    return theta.map((value, k) => centre[k] + bound * Math.tanh((value - centre[k]) / bound));
  }

  function softmax(logits) {
    const most = Math.max(...logits);
    const shares = Array.from(logits, (value) => Math.exp(value - most));
    const sum = shares.reduce((before, value) => before + value, 0);
    return shares.map((value) => value / sum);
  }

  // A network that is ready to run: its grid is decoded or compiled once.
  function prepare(network) {
    const transformer = network.transformer;
    if (!transformer) return network;
    const { grid, size, align_corners: alignCorners } = transformer;
    if (grid.linear) {
      const basis = floats(grid.linear);
      return { ...network, gridOf: (theta) => linearGrid(basis, theta) };
    }
    const rows = grid.matrix.map((row) => `[${row.join(", ")}]`).join(", ");
    const matrix = new Function("theta", "aspect", `return [${rows}];`);
    const aspect = size[1] / size[0];
    return { ...network, gridOf: (theta) => matrixGrid(matrix(theta, aspect), size, alignCorners) };
  }

  // What a prepared network says of an input: {views, thetas, grids, probabilities}.
  function run(network, weights, input) {
    const transformer = network.transformer;
    let views = [input],
      thetas = [],
      grids = [];
    if (transformer) {
      const [channels, height, width] = input.shape,
        count = height * width;
      const seen = !transformer.per_channel
        ? [input]
        : Array.from({ length: channels }, (_, c) => ({
            data: input.data.subarray(c * count, (c + 1) * count),
            shape: [1, height, width],
          }));
      const num = transformer.names.length;
      views = [];
      for (const [channel, image] of seen.entries()) {
        const black = transformer.padding_value ?? [];
        const all = through(transformer.localization, [image], weights);
        for (let k = 0; k < all.length; k += num) {
          const said = Array.from(all.subarray(k, k + num));
          const theta = transformer.bounded ? keptNear(said, transformer.bounded) : said;
          const ofGrid = transformer.has_values ? theta.slice(0, -2) : theta;
          const grid = network.gridOf(ofGrid);
          thetas.push(theta);
          grids.push(grid);
          const view = sample(
            image,
            grid,
            transformer.size,
            transformer.padding,
            transformer.align_corners,
            transformer.per_channel ? black.slice(channel, channel + 1) : black,
          );
          const [slope, offset] = transformer.has_values ? theta.slice(-2) : [1, 0];
          views.push({ ...view, data: view.data.map((value) => slope * value + offset) });
        }
      }
    }
    const logits = through(network.classifier, views, weights);
    return { views, thetas, grids, probabilities: softmax(logits) };
  }

  // The affine map that fits a grid best, in pixels from the centres of view and input:
  // [[a, b, x], [c, d, y]]. It is the map itself where it is affine.
  function affineOf(grid, viewSize, inputSize, alignCorners) {
    const [height, width] = viewSize,
      count = height * width;
    const x = axis(width, alignCorners),
      y = axis(height, alignCorners);
    const lost = alignCorners ? 1 : 0;
    const half = (length) => Math.max(length - lost, 1) / 2;
    const squares = (values) => values.reduce((sum, value) => sum + value * value, 0) || 1;
    return [0, 1].map((which) => {
      let mean = 0,
        ofX = 0,
        ofY = 0;
      for (let i = 0; i < count; i++) {
        const value = grid[which * count + i];
        mean += value / count;
        ofX += value * x[i % width];
        ofY += value * y[Math.floor(i / width)];
      }
      const to = half(inputSize[1 - which]);
      return [
        (to * ofX) / (squares(x) * height * half(width)),
        (to * ofY) / (squares(y) * width * half(height)),
        to * mean,
      ];
    });
  }

  return {
    bytes,
    floats,
    similarity,
    distort,
    distortTime,
    normalise,
    layOut,
    prepare,
    run,
    affineOf,
  };
})();
