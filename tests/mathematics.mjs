// Render every formula of the documents with KaTeX; one that does not render ends with exit code 1.
//
//     npm install --prefix FOLDER katex && node tests/mathematics.mjs FOLDER docs/*.md
//
// Formulas are ```math blocks and inline $`...`$. What a forge's renderer lacks or forbids, though
// KaTeX has it, is refused too, and so are letters that a font for formulas may lack.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { resolve } from "node:path";

const [folder, ...files] = process.argv.slice(2);
const katex = createRequire(resolve(folder, "package.json"))("katex");
const FORBIDDEN = /\\(operatorname|tag|label|newcommand|renewcommand|def|href|html\w*|require)\b/;

function fault(formula, displayMode) {
  const forbidden = formula.match(FORBIDDEN);
  if (forbidden) return `${forbidden[0]} is not shown everywhere`;
  try {
    katex.renderToString(formula, { displayMode, throwOnError: true, strict: "error" });
  } catch (error) {
    return error.message;
  }
  return null;
}

function formulas(text) {
  const found = [];
  const line = (index) => text.slice(0, index).split("\n").length;
  const prose = text.replace(/^```(\w*)\n([^]*?)^```$/gm, (block, language, body, index) => {
    if (language === "math") found.push([line(index) + 1, body, true]);
    return block.replace(/[^\n]/g, " ");
  });
  for (const match of prose.matchAll(/\$`([^`\n]+)`\$/g)) {
    found.push([line(match.index), match[1], false]);
  }
  return found;
}

// The check itself: it must see a fault.
for (const wrong of ["\\frac{1}{", "\\unknown", "x_{", "\\operatorname{arsinh} x", "√x", "a & b"]) {
  if (!fault(wrong, true)) throw new Error(`${wrong} was taken for a formula`);
}
if (formulas("```math\nx\n```\nand $`y`$ not ```\n$`z`$\n```").length < 2) throw new Error("missed");

let failed = 0;
let passed = 0;
for (const file of files) {
  for (const [number, formula, displayed] of formulas(readFileSync(file, "utf8"))) {
    const wrong = fault(formula, displayed);
    if (wrong) console.error(`${file}:${number}: ${wrong}`);
    if (wrong) failed += 1;
    else passed += 1;
  }
}
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed || !passed ? 1 : 0);
