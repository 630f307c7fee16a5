// One contender of "A hit", in a process of its own: the heap and the compiled code of another one would change its time.
// Usage: node --expose-gc hit-contender.js time|weigh NAME [DIST]
import { measure } from 'mitata';
import { contenders, dropIn, parts } from './contenders.js';

/** Measures once the call is compiled: mitata does not batch a function whose first calls are slow. */
async function sample(act, options) {
	for (let call = 0; call < 2_000; call++) await act();
	return measure(act, options);
}

const time = async (act) => (await sample(act, { batch_samples: 1024, min_cpu_time: 250e6 })).p50;

/** The bytes that a call allocates; the large young generation of this process collects nothing meanwhile. */
async function weigh(act) {
	const heap = () => process.memoryUsage().heapUsed;
	return (await sample(act, { batch_samples: 512, min_cpu_time: 100e6, inner_gc: true, heap })).heap
		.min;
}

// The library does not keep a process alive.
setInterval(() => {}, 60_000);
const [task, name, build] = process.argv.slice(2);
const models = await (await contenders[dropIn](undefined, build))();
if (models.length !== 12) throw new Error('Expected a list of 12 models');
const list = await { ...contenders, ...parts }[name](async () => models, build);
const result = await (task === 'weigh' ? weigh : time)(() => list());
process.stdout.write(JSON.stringify(result), () => process.exit(0));
