#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <stdexcept>

#include "tests/support/http/raw_server.h"

namespace pullama::testing {
namespace {

using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;

Key new_key() { return {EVP_EC_gen("P-256"), &EVP_PKEY_free}; }

void must(bool good) {
  if (!good) throw std::runtime_error("OpenSSL makes no certificate");
}

void extend(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  must(extension != nullptr && X509_add_ext(certificate, extension, -1) == 1);
  X509_EXTENSION_free(extension);
}

Certificate make(EVP_PKEY* key, const std::string& name, X509* issuer, EVP_PKEY* issuer_key, bool is_ca,
                 const CertificateShape& shape) {
  static long serial = 1;
  Certificate certificate(X509_new(), &X509_free);
  X509_set_version(certificate.get(), 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), serial++);
  constexpr long kDay = 24 * 60 * 60;
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -2 * kDay);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), shape.expired ? -kDay : kDay);
  X509_set_pubkey(certificate.get(), key);
  X509_NAME* subject = X509_get_subject_name(certificate.get());
  X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1,
                             0);
  X509* signer = issuer == nullptr ? certificate.get() : issuer;
  X509_set_issuer_name(certificate.get(), X509_get_subject_name(signer));
  extend(certificate.get(), signer, NID_basic_constraints, is_ca ? "critical,CA:TRUE" : "CA:FALSE");
  if (!is_ca) extend(certificate.get(), signer, NID_subject_alt_name, "IP:" + shape.ip);
  must(X509_sign(certificate.get(), issuer_key, EVP_sha256()) != 0);
  return certificate;
}

template <class Write>
std::string pem(Write write) {
  BIO* text = BIO_new(BIO_s_mem());
  must(text != nullptr && write(text) == 1);
  char* data = nullptr;
  const long length = BIO_get_mem_data(text, &data);
  std::string result(data, static_cast<std::size_t>(length));
  BIO_free(text);
  return result;
}

TlsIdentity identity(X509* certificate, EVP_PKEY* key) {
  return {pem([&](BIO* text) { return PEM_write_bio_X509(text, certificate); }),
          pem([&](BIO* text) { return PEM_write_bio_PrivateKey(text, key, nullptr, nullptr, 0, nullptr, nullptr); })};
}

}  // namespace

namespace {

std::string next_ca_name() {
  static unsigned count = 0;
  return "a test's CA, number " + std::to_string(++count);
}

}  // namespace

struct TestCa::Impl {
  Key key = new_key();
  Certificate certificate = make(key.get(), next_ca_name(), nullptr, key.get(), true, {});
};

TestCa::TestCa() : impl_(std::make_unique<Impl>()) {
  certificate_ = identity(impl_->certificate.get(), impl_->key.get()).certificate;
}

TestCa::~TestCa() = default;

TlsIdentity TestCa::issue(const CertificateShape& shape) const {
  const auto key = new_key();
  return identity(make(key.get(), "a test's server", impl_->certificate.get(), impl_->key.get(), false, shape).get(),
                  key.get());
}

TlsIdentity TestCa::self_signed() {
  const auto key = new_key();
  return identity(make(key.get(), "signed by itself", nullptr, key.get(), false, {}).get(), key.get());
}

}  // namespace pullama::testing
