#include "client/completion.h"

namespace pullama::client {
namespace {

// Bash splits words at ":" and "=", which model names and flags have inside: the line is split anew at blanks, and what
// bash has put aside already is taken off each candidate.
constexpr std::string_view kBash = R"(# pullama in bash: source <(pullama completion bash)
_pullama() {
  local line=${COMP_LINE:0:COMP_POINT} breaks=${COMP_WORDBREAKS//[^:=]/} strip='' word about current
  local -a words
  read -ra words <<<"$line"
  if [[ $line == *[[:space:]] ]]; then words+=(''); fi
  current=${words[${#words[@]} - 1]}
  if [[ -n $breaks ]]; then strip=${current%"${current##*[$breaks]}"}; fi
  COMPREPLY=()
  while IFS=$'\t' read -r word about; do
    case $word in
      :files | :folders)
        local kind=-f
        if [[ $word == :folders ]]; then kind=-d; fi
        compopt -o filenames 2>/dev/null
        while IFS= read -r word; do COMPREPLY+=("$word"); done < <(compgen "$kind" -- "${current##*=}") ;;
      *) COMPREPLY+=("${word#"$strip"}") ;;
    esac
  done < <(command pullama __complete "${words[@]:1}" 2>/dev/null)
}
complete -F _pullama pullama
)";

constexpr std::string_view kZsh = R"(#compdef pullama
# pullama in zsh: source <(pullama completion zsh), or this file as _pullama in a folder of $fpath
_pullama() {
  local word about kind=''
  local -a names shown
  while IFS=$'\t' read -r word about; do
    case $word in
      :files | :folders) kind=$word ;;
      *) names+=("$word"); shown+=("$word${about:+  -- $about}") ;;
    esac
  done < <(command pullama __complete "${(@)words[2,CURRENT-1]}" "$PREFIX" 2>/dev/null)
  if [[ -n $kind ]]; then
    [[ $PREFIX == --*=* ]] && compset -P '*='
    if [[ $kind == :folders ]]; then _files -/; else _files; fi
    return
  fi
  (( ${#names} )) && compadd -l -d shown -a names
}
if [[ ${funcstack[1]} == _pullama ]]; then _pullama "$@"; else compdef _pullama pullama; fi
)";

constexpr std::string_view kFish = R"(# pullama in fish: pullama completion fish | source
function __pullama_complete
    set -l words (commandline -opc)
    set -e words[1]
    set -l current (commandline -ct)
    for line in (command pullama __complete $words "$current" 2>/dev/null)
        switch $line
            case ':files'
                __fish_complete_path (string replace -r -- '^--[a-z-]+=' '' "$current")
            case ':folders'
                __fish_complete_directories (string replace -r -- '^--[a-z-]+=' '' "$current")
            case '*'
                echo $line
        end
    end
end
complete -c pullama -f -a '(__pullama_complete)'
)";

}  // namespace

std::string_view completion_script(std::string_view shell) {
  if (shell == "zsh") return kZsh;
  return shell == "fish" ? kFish : kBash;
}

}  // namespace pullama::client
