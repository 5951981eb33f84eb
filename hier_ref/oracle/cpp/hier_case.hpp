// Read the case files of hier_ref and write results: one header, C++17, nothing else needed.
//
//   hier::Case question = hier::read_case("cases/std-00");            // case.json: the numbers
//   auto x = hier::read_npy<double>("cases/std-00/x.npy");            // one array
//   hier::write_npy("results/std-00/z.npy", z);
//
// Arrays are little-endian and C-ordered: <f4, <f8, <i8, and |b1 in results. A file that is not
// what it should be throws std::runtime_error with one line that names it. See docs/13-oracle.md.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

namespace hier {

[[noreturn]] inline void refuse(const std::string& path, const std::string& what) {
  throw std::runtime_error(path + ": " + what);
}

inline std::string read_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) refuse(path, "not found");
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// ---- Arrays

template <class T>
struct Array {
  std::vector<std::size_t> shape;
  std::vector<T> data;

  Array() = default;
  explicit Array(std::vector<std::size_t> sizes) : shape(std::move(sizes)), data(count(shape)) {}

  static std::size_t count(const std::vector<std::size_t>& sizes) {
    std::size_t n = 1;
    for (std::size_t size : sizes) n *= size;
    return n;
  }
  T& operator()(std::size_t i, std::size_t j) { return data[i * shape[1] + j]; }
  const T& operator()(std::size_t i, std::size_t j) const { return data[i * shape[1] + j]; }
};

template <class T>
std::string descr() {
  if constexpr (std::is_same_v<T, float>) return "<f4";
  else if constexpr (std::is_same_v<T, double>) return "<f8";
  else if constexpr (std::is_same_v<T, std::int64_t>) return "<i8";
  else {
    static_assert(std::is_same_v<T, std::uint8_t>, "float, double, int64_t, or uint8_t for marks");
    return "|b1";
  }
}

inline void expect_little_endian() {
  const std::uint16_t one = 1;
  unsigned char first;
  std::memcpy(&first, &one, 1);
  if (first != 1) throw std::runtime_error("this machine is not little-endian");
}

// The dtype of an .npy file, such as "<f4".
inline std::string npy_dtype(const std::string& path) {
  const std::string text = read_text(path);
  const auto key = text.find("'descr':");
  const auto open = key == std::string::npos ? key : text.find('\'', key + 8);
  if (open == std::string::npos) refuse(path, "no .npy file");
  return text.substr(open + 1, text.find('\'', open + 1) - open - 1);
}

template <class T>
Array<T> read_npy(const std::string& path) {
  expect_little_endian();
  const std::string text = read_text(path);
  if (text.size() < 12 || text.compare(0, 6, "\x93NUMPY") != 0) refuse(path, "no .npy file");
  auto byte = [&](std::size_t n) { return std::size_t(static_cast<unsigned char>(text[n])); };
  const bool first = text[6] == 1;  // version 1 has 2 bytes for the length of the header, later 4
  std::size_t length = byte(8) | byte(9) << 8;
  if (!first) length |= byte(10) << 16 | byte(11) << 24;
  const std::size_t start = first ? 10 : 12;
  if (text.size() < start + length) refuse(path, "truncated");
  const std::string head = text.substr(start, length);
  if (head.find("'" + descr<T>() + "'") == std::string::npos) refuse(path, "expected " + descr<T>());
  if (head.find("'fortran_order': False") == std::string::npos) refuse(path, "expected C order");
  std::size_t at = head.find("'shape': (");
  if (at == std::string::npos) refuse(path, "no shape");
  std::vector<std::size_t> shape;
  for (at += 10; at < head.size() && head[at] != ')'; ++at) {
    if (head[at] < '0' || head[at] > '9') continue;
    char* end;
    shape.push_back(std::strtoull(head.c_str() + at, &end, 10));
    at = std::size_t(end - head.c_str()) - 1;
  }
  Array<T> array(shape);
  if (text.size() - start - length != array.data.size() * sizeof(T)) refuse(path, "truncated");
  if (!array.data.empty())
    std::memcpy(array.data.data(), text.data() + start + length, array.data.size() * sizeof(T));
  return array;
}

template <class T>
void write_npy(const std::string& path, const Array<T>& array) {
  expect_little_endian();
  std::string head = "{'descr': '" + descr<T>() + "', 'fortran_order': False, 'shape': (";
  for (std::size_t size : array.shape) head += std::to_string(size) + ",";
  head += "), }";
  while ((10 + head.size() + 1) % 64) head += ' ';
  head += '\n';
  std::ofstream file(path, std::ios::binary);
  file.write("\x93NUMPY\x01\x00", 8);
  file.put(char(head.size() & 255)).put(char(head.size() >> 8));
  file << head;
  file.write(reinterpret_cast<const char*>(array.data.data()),
             std::streamsize(array.data.size() * sizeof(T)));
  file.close();
  if (!file) refuse(path, "cannot be written");
}

// ---- case.json: as much of JSON as it uses

struct Value {
  std::string text;  // of a string or a number
  std::map<std::string, Value> members;
  std::vector<Value> items;

  const Value& operator[](const std::string& name) const {
    const auto found = members.find(name);
    if (found == members.end()) throw std::runtime_error("no member \"" + name + "\"");
    return found->second;
  }
  double number() const {  // decimal or hex, as strtod reads both
    char* end;
    const double value = std::strtod(text.c_str(), &end);
    if (text.empty() || *end) throw std::runtime_error("\"" + text + "\" is no number");
    return value;
  }
};

class Parser {
 public:
  explicit Parser(const std::string& text) : s(text) {}

  Value parse() {
    Value value;
    switch (peek()) {
      case '{':
        for (expect('{'); peek() != '}';) {
          const std::string name = string();
          expect(':');
          value.members[name] = parse();
          if (peek() == ',') expect(',');
        }
        expect('}');
        break;
      case '[':
        for (expect('['); peek() != ']';) {
          value.items.push_back(parse());
          if (peek() == ',') expect(',');
        }
        expect(']');
        break;
      case '"':
        value.text = string();
        break;
      default:  // a number, true, false or null
        while (at < s.size() && !std::strchr(",]} \n\r\t", s[at])) value.text += s[at++];
        if (value.text.empty()) throw std::runtime_error("no JSON");
    }
    return value;
  }

 private:
  char peek() {
    while (at < s.size() && std::strchr(" \n\r\t", s[at])) ++at;
    if (at >= s.size()) throw std::runtime_error("truncated");
    return s[at];
  }
  void expect(char c) {
    if (peek() != c) throw std::runtime_error(std::string("expected ") + c);
    ++at;
  }
  std::string string() {  // escapes stay as they are: names and hex floats have none
    expect('"');
    std::string found;
    for (; at < s.size() && s[at] != '"'; ++at) {
      if (s[at] == '\\') found += s[at++];
      if (at < s.size()) found += s[at];
    }
    if (at >= s.size()) throw std::runtime_error("truncated");
    ++at;
    return found;
  }

  const std::string& s;
  std::size_t at = 0;
};

// ---- A case

struct Case {
  std::string id, reason;
  double c, clip_radius, tau, margin;
  int neighbours;
};

inline Case read_case(const std::string& folder) {
  const std::string path = folder + "/case.json", text = read_text(path);
  try {
    const Value value = Parser(text).parse(), &numbers = value["parameters"];
    if (value["schema"].number() != 1) throw std::runtime_error("expected schema 1");
    return {value["id"].text,
            value["reason"].text,
            numbers["c"].number(),
            numbers["clip_radius"].number(),
            numbers["tau"].number(),
            numbers["margin"].number(),
            int(value["neighbours"].number())};
  } catch (const std::runtime_error& error) {
    refuse(path, error.what());
  }
}

}  // namespace hier
