// llama.cpp's side of `benchmarks/llama_cpp.py`: a line of JSON in, one out.
import {createInterface} from "node:readline";
import {createRequire} from "node:module";
import {pathToFileURL} from "node:url";

const [folder, file, threads] = process.argv.slice(2);
const found = createRequire(`${folder}/package.json`).resolve("node-llama-cpp");
const {getLlama, LlamaLogLevel} = await import(pathToFileURL(found).href);
const llama = await getLlama({
    gpu: false, build: "never", maxThreads: Number(threads), logLevel: LlamaLogLevel.error
});
const model = await llama.loadModel({modelPath: file});
const context = await model.createContext({
    contextSize: 4096, batchSize: 512, threads: Number(threads)
});
const sequence = context.getSequence();
console.log(JSON.stringify({processor: llama.systemInfo}));
for await (const line of createInterface({input: process.stdin})) {
    const {ids, count} = JSON.parse(line);
    await sequence.clearHistory();
    const started = performance.now();
    await sequence.evaluateWithoutGeneratingNewTokens(ids.slice(0, -1));
    const read = performance.now();
    const said = [];
    for await (const id of sequence.evaluate(ids.slice(-1), {temperature: 0})) {
        said.push(id);
        if (said.length === count) break;
    }
    const ended = performance.now();
    console.log(JSON.stringify({prefill: (read - started) / 1000, decode: (ended - read) / 1000, said}));
}
